package interop;

import java.util.Map;
import org.apache.seata.core.context.RootContext;
import org.apache.seata.core.model.BranchStatus;
import org.apache.seata.core.model.BranchType;
import org.apache.seata.rm.DefaultResourceManager;

/**
 * Branches as a state machine of Saga makes them, in the transaction of the header TX_XID.
 *
 * <table>
 * <tr><td>/saga/branch data</td><td>{"branch": TEXT}</td></tr>
 * <tr><td>/saga/report branch, status (name), data</td><td>tells how its service ended</td></tr>
 * </table>
 */
final class Sagas {
    private Sagas() {
    }

    static void serve(HttpFront http, String resource) {
        var branches = DefaultResourceManager.get();
        http.on("/saga/branch", request -> {
            long branch = branches.branchRegister(
                    BranchType.SAGA, resource, null, RootContext.getXID(), request.text("data"), null);
            return Map.of("branch", Long.toString(branch));
        });
        http.on("/saga/report", request -> {
            branches.branchReport(BranchType.SAGA, RootContext.getXID(), request.number("branch"),
                    BranchStatus.valueOf(request.text("status")), request.text("data"));
            return Map.of();
        });
    }
}
