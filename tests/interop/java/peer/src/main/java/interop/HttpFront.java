package interop;

import com.alibaba.fastjson.JSON;
import com.alibaba.fastjson.JSONObject;
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.Executors;
import org.apache.seata.core.context.RootContext;
import org.apache.seata.core.exception.TransactionException;

/**
 * HTTP on a free loopback port: parameters and answers in JSON, method POST. A request that carries an XID in its header
 * is handled inside that transaction, as Seata's interceptor for Spring does it.
 *
 * <p>What fails is answered with status 500 and {@code {"error": text, "code": name or null}}.
 */
final class HttpFront {
    private final HttpServer server;

    /** What is behind a path. The answer is anything that can be written as JSON. */
    interface Handler {
        Object handle(Request request) throws Exception;
    }

    /** What is asked for, by name. */
    record Request(JSONObject parameters) {
        String text(String name) {
            return value(name).toString();
        }

        long number(String name) {
            return Long.parseLong(text(name));
        }

        Object value(String name) {
            Object value = parameters.get(name);
            if (value == null) {
                throw new IllegalArgumentException("parameter " + name + " is missing");
            }
            return value;
        }
    }

    private HttpFront(HttpServer server) {
        this.server = server;
    }

    static HttpFront start() throws IOException {
        HttpServer server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
        server.setExecutor(Executors.newCachedThreadPool());
        server.start();
        return new HttpFront(server);
    }

    int port() {
        return server.getAddress().getPort();
    }

    void on(String path, Handler handler) {
        server.createContext(path, exchange -> {
            try (exchange) {
                answer(exchange, handler);
            }
        });
    }

    private static void answer(HttpExchange exchange, Handler handler) throws IOException {
        String body = new String(exchange.getRequestBody().readAllBytes(), StandardCharsets.UTF_8);
        // Blank unbinds, so that no transaction is left from the thread's request before.
        RootContext.bind(exchange.getRequestHeaders().getFirst(RootContext.KEY_XID));
        try {
            write(exchange, 200, handler.handle(new Request(JSON.parseObject(body))));
        } catch (Exception | LinkageError error) {
            write(exchange, 500, failure(error));
        } finally {
            RootContext.unbind();
        }
    }

    private static Map<String, Object> failure(Throwable error) {
        Map<String, Object> failure = new HashMap<>();
        failure.put("error", error.toString());
        failure.put("code", error instanceof TransactionException known ? known.getCode().name() : null);
        return failure;
    }

    private static void write(HttpExchange exchange, int status, Object answer) throws IOException {
        byte[] body = JSON.toJSONString(answer).getBytes(StandardCharsets.UTF_8);
        exchange.getResponseHeaders().set("content-type", "application/json");
        exchange.sendResponseHeaders(status, body.length);
        exchange.getResponseBody().write(body);
    }
}
