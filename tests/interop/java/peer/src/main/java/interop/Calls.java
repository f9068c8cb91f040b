package interop;

import com.alibaba.fastjson.JSON;
import com.alibaba.fastjson.JSONObject;
import java.util.Base64;
import java.util.Map;
import org.apache.seata.integration.http.DefaultHttpExecutor;

/**
 * Calls of other services, in the transaction of the header TX_XID. The callee's protocol is the caller's business: a
 * body is passed on as it is.
 *
 * <table>
 * <tr><td>/call/http?host=http://HOST:PORT&amp;path=/PATH</td><td>posts the body, JSON; fails unless answered with 2xx</td></tr>
 * <tr><td>/call/grpc?address=HOST:PORT&amp;method=SERVICE/METHOD</td><td>body and answer are messages in base64: {"reply": TEXT}</td></tr>
 * </table>
 */
final class Calls {
    private Calls() {
    }

    static void serve(HttpFront http) {
        http.on("/call/http", request -> {
            JSONObject body = JSON.parseObject(request.body());
            DefaultHttpExecutor.getInstance()
                    .executePost(request.text("host"), request.text("path"), body, JSONObject.class);
            return Map.of();
        });
        http.on("/call/grpc", request -> {
            byte[] message = Base64.getDecoder().decode(request.body());
            byte[] reply = GrpcFront.call(request.text("address"), request.text("method"), message);
            return Map.of("reply", Base64.getEncoder().encodeToString(reply));
        });
    }
}
