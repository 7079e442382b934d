// call FOLDER: answers each line of standard input by the SavedModel of a copy, with one line of JSON.

#include <tensorflow/c/c_api.h>
#include <tensorflow/c/tf_tstring.h>
#include <tensorflow/core/protobuf/meta_graph.pb.h>
#include <cmath>
#include <cstring>
#include <iostream>

void check(bool fine, const std::string& problem) {
  if (!fine) std::cerr << "call: " << problem << std::endl, std::exit(1);
}

struct Json {  // what Python takes for JSON: each function goes past what it is named after, or returns false
  const char* at;
  bool skip(const char* mark) { return strncmp(at, mark, strlen(mark)) == 0 && (at += strlen(mark)); }
  bool blanks() { return at += strspn(at, " \t\r\n"); }
  bool digits() { return strspn(at, "0123456789") && (at += strspn(at, "0123456789")); }
  bool number() {
    const char* start = at;
    bool fine = (skip("-"), skip("0") || digits()) && (!skip(".") || digits()) &&
                (!(skip("e") || skip("E")) || (skip("+") || skip("-"), digits()));
    return fine && (start + strspn(start, "-0123456789") == at || std::isfinite(strtod(start, nullptr)));
  }
  bool string() {  // the graph writes whole escapes, and no control characters
    if (!skip("\"")) return false;
    while (*at && *at != '"') at += *at == '\\' && at[1] ? 2 : 1;
    return skip("\"");
  }
  bool items(const char* end, bool keys) {
    if (blanks() && skip(end)) return true;
    while ((!keys || (blanks() && string() && blanks() && skip(":"))) && value())
      if (!skip(",")) return skip(end);
    return false;
  }
  bool value() {
    blanks();
    bool fine = skip("[") ? items("]", false) : skip("{") ? items("}", true) : *at == '"' ? string()
              : skip("true") || skip("false") || skip("null") || number();
    return fine && blanks();
  }
};

std::string json_of(const std::string& text, bool utf8 = true) {
  std::string found;
  for (unsigned char byte : text) {
    char escape[8];
    snprintf(escape, sizeof escape, "\\u%04x", byte < 0x80 ? byte : 0xDC00 + byte);  // as Python writes other bytes
    if (byte < ' ' || (byte >= 0x80 && !utf8)) found += escape;
    else (found += byte == '"' || byte == '\\' ? "\\" : "") += byte;
  }
  return '"' + found + '"';
}

int main(int argc, char** argv) {
  check(argc == 2, "give one argument, the folder saved_model of an export");
  TF_Status* status = TF_NewStatus();
  TF_Graph* graph = TF_NewGraph();
  TF_Buffer* bytes = TF_NewBuffer();
  const char* tag = "serve";
  auto* session = TF_LoadSessionFromSavedModel(TF_NewSessionOptions(), nullptr, argv[1], &tag, 1, graph, bytes, status);
  check(TF_GetCode(status) == TF_OK, TF_Message(status));
  tensorflow::MetaGraphDef meta;
  meta.ParseFromArray(bytes->data, bytes->length);
  const auto& signature = (*meta.mutable_signature_def())["serving_default"];
  auto tensor = [&](const auto& tensors, const char* key) {
    check(tensors.contains(key), std::string("this is not the SavedModel of a copy: it has no ") + key);
    const std::string name(tensors.at(key).name()), operation = name.substr(0, name.find(':'));
    return TF_Output{TF_GraphOperationByName(graph, operation.c_str()), std::stoi(name.substr(operation.size() + 1))};
  };
  const TF_Output input = tensor(signature.inputs(), "text");
  TF_Output outputs[3], *next = outputs;
  for (auto key : {"json", "confidence", "reason"}) *next++ = tensor(signature.outputs(), key);
  std::ios::sync_with_stdio(false);
  std::cout.precision(9);
  for (std::vector<std::string> lines(1); std::getline(std::cin, lines[0]); lines.resize(1)) {
    // As many as are there: a line that is typed is answered at once, and a file in batches.
    while (lines.size() < 256 && std::cin.rdbuf()->in_avail() > 0) std::getline(std::cin, lines.emplace_back());
    const int64_t rows = lines.size();
    TF_Tensor *texts = TF_AllocateTensor(TF_STRING, &rows, 1, rows * sizeof(TF_TString)), *found[3];
    auto* text = static_cast<TF_TString*>(TF_TensorData(texts));
    for (auto& line : lines) TF_StringInit(text), TF_StringAssignView(text++, line.data(), line.size());
    TF_SessionRun(session, nullptr, &input, &texts, 1, outputs, found, 3, nullptr, 0, nullptr, status);
    check(TF_GetCode(status) == TF_OK, TF_Message(status));
    auto* jsons = static_cast<TF_TString*>(TF_TensorData(found[0]));
    auto* reasons = static_cast<TF_TString*>(TF_TensorData(found[2]));
    for (int64_t row = 0; row < rows; ++row) {
      std::string json = TF_StringGetDataPointer(jsons + row), reason = TF_StringGetDataPointer(reasons + row);
      Json reader{json.c_str()};
      const bool valid = reader.value() && !*reader.at;
      if (reason.empty() && !valid) reason = "the answer is no JSON";
      std::cout << "{\"input\": " << json_of(lines[row], reason != "it is no UTF-8") << ", \"value\": "
                << (valid ? json : "null") << ", \"text\": " << json_of(json) << ", \"confidence\": "
                << static_cast<float*>(TF_TensorData(found[1]))[row] << ", \"trusted\": "
                << (reason.empty() ? "true" : "false") << ", \"reason\": " << json_of(reason) << "}" << std::endl;
    }
    for (TF_Tensor* each : {texts, found[0], found[1], found[2]}) TF_DeleteTensor(each);
  }
}
