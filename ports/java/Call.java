import static java.nio.charset.StandardCharsets.ISO_8859_1;
import static java.nio.charset.StandardCharsets.UTF_8;

import com.google.gson.*;
import com.google.gson.stream.JsonReader;
import java.io.*;
import java.util.*;
import java.util.regex.Pattern;
import org.tensorflow.*;
import org.tensorflow.exceptions.TensorFlowException;
import org.tensorflow.ndarray.NdArrays;
import org.tensorflow.types.*;

/** Call FOLDER: answers each line of standard input by the SavedModel of a copy, with one line of JSON. */
public final class Call {
    /** Takes for JSON what Python does; numbers beyond all floats are none. */
    static final Gson GSON = new GsonBuilder()
            .setStrictness(Strictness.STRICT)
            .disableHtmlEscaping()
            .setObjectToNumberStrategy(Call::number)
            .create();
    static final Pattern NO_ASCII = Pattern.compile("[\\x80-\\xff]");

    public static void main(String[] words) throws IOException {
        if (words.length != 1) fail("give one argument, the folder saved_model of an export");
        InputStream in = new BufferedInputStream(System.in, 1 << 16);
        PrintStream out = new PrintStream(System.out, false, UTF_8);
        try (SavedModelBundle model = SavedModelBundle.load(words[0], "serve")) {
            TensorFunction copy = model.function("serving_default");
            if (!copy.signature().outputNames().contains("reason")) fail("this is not the SavedModel of a copy");
            for (List<byte[]> lines = read(in); !lines.isEmpty() && !out.checkError(); lines = read(in)) {
                try (TString texts = TString.tensorOfBytes(NdArrays.vectorOfObjects(lines.toArray(byte[][]::new)));
                        Result found = copy.call(Map.of("text", texts))) {
                    TString jsons = (TString) found.get("json").get(), reasons = (TString) found.get("reason").get();
                    TFloat32 confidences = (TFloat32) found.get("confidence").get();
                    for (int row = 0; row < lines.size(); row++) {
                        String json = jsons.getObject(row), reason = reasons.getObject(row);
                        out.println(record(lines.get(row), json, confidences.getFloat(row), reason));
                    }
                }
            }
        } catch (TensorFlowException | IllegalArgumentException problem) {
            fail(problem.getMessage());
        }
    }

    /** As many lines as are there: one that is typed is answered at once, and a file in batches. None at the end. */
    static List<byte[]> read(InputStream in) throws IOException {
        List<byte[]> lines = new ArrayList<>();
        while (lines.isEmpty() || (lines.size() < 256 && in.available() > 0)) {
            ByteArrayOutputStream line = new ByteArrayOutputStream();
            int next = in.read();
            if (next < 0) break;
            for (; next >= 0 && next != '\n'; next = in.read()) line.write(next);
            lines.add(line.toByteArray());
        }
        return lines;
    }

    static String record(byte[] line, String json, float confidence, String reason) {
        boolean valid = isJson(json);
        if (reason.isEmpty() && !valid) reason = "the answer is no JSON";
        String input = GSON.toJson(new String(line, UTF_8));
        if (reason.equals("it is no UTF-8")) { // as Python writes such bytes
            input = NO_ASCII.matcher(GSON.toJson(new String(line, ISO_8859_1)))
                    .replaceAll(found -> String.format("\\\\udc%02x", (int) found.group().charAt(0)));
        }
        return "{\"input\": " + input + ", \"value\": " + (valid ? json : "null") + ", \"text\": " + GSON.toJson(json)
                + ", \"confidence\": " + confidence + ", \"trusted\": " + reason.isEmpty() + ", \"reason\": "
                + GSON.toJson(reason) + "}";
    }

    static boolean isJson(String text) {
        try {
            return GSON.fromJson("[" + text + "]", Object[].class).length == 1;
        } catch (JsonParseException problem) {
            return false;
        }
    }

    static Number number(JsonReader reader) throws IOException {
        String text = reader.nextString();
        double value = Double.parseDouble(text);
        if (Double.isInfinite(value) && !text.matches("-?\\d+")) throw new JsonParseException(text);
        return value;
    }

    static void fail(String problem) {
        System.err.println("call: " + problem);
        System.exit(1);
    }
}
