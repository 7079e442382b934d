import static java.nio.charset.StandardCharsets.ISO_8859_1;
import static java.nio.charset.StandardCharsets.UTF_8;

import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import java.io.IOException;
import java.nio.file.*;
import java.util.BitSet;
import org.bytedeco.javacpp.*;
import org.bytedeco.tensorflowlite.*;

/** A copy in its folder: what the card says, and the LiteRT file. For one thread. */
final class Copy {
    static final int PADDING = 0, EOS = 0xFF;
    final int mostBytes, mostSteps;
    final double threshold;
    final boolean reverseOutput;
    final BitSet bytesSeen = new BitSet();
    // The model uses these, so none may be collected before it is.
    private final FlatBufferModel file;
    private final BuiltinOpResolver operations = new BuiltinOpResolver();
    private final Interpreter interpreter = new Interpreter((Pointer) null);
    private final SignatureRunner model;

    Copy(Path folder) throws IOException {
        JsonObject card = JsonParser.parseString(Files.readString(folder.resolve("copy.json"))).getAsJsonObject();
        JsonObject task = card.getAsJsonObject("task");
        mostBytes = task.get("max_input_bytes").getAsInt();
        mostSteps = 2 * card.get("longest_answer").getAsInt();
        threshold = card.get("threshold").getAsDouble();
        reverseOutput = task.get("reverse_output").getAsBoolean();
        card.getAsJsonArray("bytes_seen").forEach(each -> bytesSeen.set(each.getAsInt()));
        if (!card.has("litert")) throw new IOException("its copy.json names no LiteRT file");
        String name = card.getAsJsonArray("litert").get(0).getAsString();
        file = FlatBufferModel.BuildFromFile(folder.resolve(name).toString());
        if (file == null) throw new IOException(name + " is no LiteRT file");
        new InterpreterBuilder(file, operations).apply(interpreter, 1);
        model = interpreter.GetSignatureRunner("answer");
    }

    /** Answers a valid input, in the output tensors. Returns whether the answer ended within so many steps. */
    boolean decode(byte[] line, int limit) {
        model.ResizeInputTensor("tokens", new int[] {1, line.length + 1});
        model.AllocateTensors();
        IntPointer tokens = model.input_tensor("tokens").data().i32().put(line.length, EOS);
        for (int index = 0; index < line.length; index++) tokens.put(index, line[index] & 0xFF);
        model.input_tensor("limit").data().i32().put(limit);
        model.Invoke();
        return model.output_tensor("ended").data().i32().get() > 0;
    }

    float confidence() {
        return model.output_tensor("confidence").data().f().get();
    }

    /** The answer as JSON: the network writes quotes and NUL as bytes that UTF-8 never has, and no escapes. */
    String json() {
        TfLiteTensor answer = model.output_tensor("answer");
        IntPointer bytes = answer.data().i32();
        StringBuilder written = new StringBuilder();
        for (int step = 0; step < answer.dims().data(1); step++) {
            if (bytes.get(step) == EOS || bytes.get(step) == PADDING) break;
            written.append((char) bytes.get(step));
        }
        if (reverseOutput) written.reverse();
        String json = Call.GSON.toJson(written.toString());
        json = json.substring(1, json.length() - 1).replace("\u00F8", "\"").replace("\u00F9", "\\u0000");
        return new String(json.getBytes(ISO_8859_1), UTF_8);
    }
}
