package interop;

import com.alibaba.fastjson.JSONObject;
import java.util.Base64;
import java.util.Map;
import org.apache.seata.integration.http.DefaultHttpExecutor;

/**
 * Calls of other services, in the transaction of the header TX_XID.
 *
 * <table>
 * <tr><td>/call/http address, path, body</td><td>posts the body, JSON; fails unless answered with 2xx</td></tr>
 * <tr><td>/call/grpc address, method, message</td><td>{"reply": TEXT}; encoded messages, in base64</td></tr>
 * </table>
 */
final class Calls {
    private Calls() {
    }

    static void serve(HttpFront http) {
        http.on("/call/http", request -> {
            String host = "http://" + request.text("address");
            DefaultHttpExecutor.getInstance()
                    .executePost(host, request.text("path"), request.value("body"), JSONObject.class);
            return Map.of();
        });
        http.on("/call/grpc", request -> {
            byte[] message = Base64.getDecoder().decode(request.text("message"));
            byte[] reply = GrpcFront.call(request.text("address"), request.text("method"), message);
            return Map.of("reply", Base64.getEncoder().encodeToString(reply));
        });
    }
}
