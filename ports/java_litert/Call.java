import static java.nio.charset.StandardCharsets.ISO_8859_1;
import static java.nio.charset.StandardCharsets.UTF_8;

import com.google.gson.*;
import java.io.*;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.regex.Pattern;

/** Call FOLDER: answers each line of standard input by the LiteRT file in the folder of a copy, with a line of JSON. */
public final class Call {
    static final Gson GSON = new GsonBuilder().setStrictness(Strictness.STRICT).disableHtmlEscaping().create();
    static final Pattern NO_ASCII = Pattern.compile("[\\x80-\\xff]");

    public static void main(String[] words) throws IOException {
        if (words.length != 1) fail("give one argument, the folder of a copy");
        InputStream in = new BufferedInputStream(System.in);
        PrintStream out = new PrintStream(System.out, true, UTF_8);
        try {
            Copy copy = new Copy(Path.of(words[0]));
            for (int next; (next = in.read()) >= 0 && !out.checkError(); ) {
                ByteArrayOutputStream line = new ByteArrayOutputStream();
                for (; next >= 0 && next != '\n'; next = in.read()) line.write(next);
                out.println(record(line.toByteArray(), copy));
            }
        } catch (IOException | JsonParseException problem) {
            fail(words[0] + " is not the folder of a copy: " + problem.getMessage());
        }
    }

    static String record(byte[] line, Copy copy) {
        String text = new String(line, UTF_8), input = GSON.toJson(text);
        if (!Arrays.equals(text.getBytes(UTF_8), line)) { // as Python writes such bytes
            input = NO_ASCII.matcher(GSON.toJson(new String(line, ISO_8859_1)))
                    .replaceAll(found -> String.format("\\\\udc%02x", (int) found.group().charAt(0)));
            return record(input, "", 0, "it is no UTF-8");
        }
        if (text.indexOf(0) >= 0) return record(input, "", 0, "it holds a NUL character");
        if (line.length > copy.mostBytes) return record(input, "", 0, "it has more than " + copy.mostBytes + " bytes");
        // Few answers are much longer than their inputs; room for the longest would cost all others time.
        int usual = Math.min(2 * line.length + 66, copy.mostSteps);
        boolean ended = copy.decode(line, usual) || copy.decode(line, copy.mostSteps);
        String json = copy.json(), reason = isJson(json) ? "" : "the answer is no JSON";
        if (copy.confidence() < copy.threshold) reason = "its confidence is too low";
        if (!ended) reason = "the answer has no end";
        for (byte each : line) if (!copy.bytesSeen.get(each & 0xFF)) reason = "it holds bytes that training never did";
        return record(input, json, copy.confidence(), reason);
    }

    static String record(String input, String json, float confidence, String reason) {
        return "{\"input\": " + input + ", \"value\": " + (isJson(json) ? json : "null") + ", \"text\": "
                + GSON.toJson(json) + ", \"confidence\": " + confidence + ", \"trusted\": " + reason.isEmpty()
                + ", \"reason\": " + GSON.toJson(reason) + "}";
    }

    static boolean isJson(String text) {
        try {
            return GSON.fromJson("[" + text + "]", Object[].class).length == 1;
        } catch (JsonParseException problem) {
            return false;
        }
    }

    static void fail(String problem) {
        System.err.println("call: " + problem);
        System.exit(1);
    }
}
