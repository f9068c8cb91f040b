package interop;

import java.util.Map;
import org.apache.seata.core.model.GlobalStatus;
import org.apache.seata.tm.TransactionManagerHolder;

/**
 * The TM role.
 *
 * <table>
 * <tr><td>/begin name, timeout (milliseconds)</td><td>{"xid": TEXT}</td></tr>
 * <tr><td>/commit xid, /rollback xid, /status xid</td><td>{"status": name of the global status}</td></tr>
 * <tr><td>/report xid, status (name)</td><td>likewise: what a state machine of Saga tells at its end</td></tr>
 * </table>
 */
final class Transactions {
    private Transactions() {
    }

    static void serve(HttpFront http) {
        var transactions = TransactionManagerHolder.get();
        http.on("/begin", request -> Map.of("xid",
                transactions.begin(null, null, request.text("name"), (int) request.number("timeout"))));
        http.on("/commit", request -> Map.of("status", transactions.commit(request.text("xid"))));
        http.on("/rollback", request -> Map.of("status", transactions.rollback(request.text("xid"))));
        http.on("/report", request -> Map.of("status", transactions.globalReport(
                request.text("xid"), GlobalStatus.valueOf(request.text("status")))));
        http.on("/status", request -> Map.of("status", transactions.getStatus(request.text("xid"))));
    }
}
