import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.HttpURLConnection;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.Executors;

/** Takes orders: a pool of threads, each of which asks the stock and waits. Arguments: its port, the stock's. */
public class Orders {
    public static void main(String[] words) throws IOException {
        int port = Integer.parseInt(words[0]);
        String stock = "http://127.0.0.1:" + words[1] + "/stock/";
        HttpServer server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), port), 128);
        server.createContext("/orders/", exchange -> take(exchange, stock));
        server.setExecutor(Executors.newFixedThreadPool(8));
        server.start();
    }

    static void take(HttpExchange exchange, String stock) throws IOException {
        exchange.getRequestBody().readAllBytes();
        String number = exchange.getRequestURI().getPath().replaceAll(".*/", "");
        HttpURLConnection asked = (HttpURLConnection) URI.create(stock + number).toURL().openConnection();
        String pieces = new String(asked.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        // Some orders fail.
        boolean fails = number.endsWith("7");
        byte[] answer = (fails ? "{\"error\": \"sold out\"}" : pieces).getBytes(StandardCharsets.UTF_8);
        exchange.sendResponseHeaders(fails ? 503 : 200, answer.length);
        exchange.getResponseBody().write(answer);
        exchange.close();
    }
}
