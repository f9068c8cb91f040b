package interop;

import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.seata.core.context.RootContext;
import org.apache.seata.core.exception.TransactionException;
import org.apache.seata.core.model.BranchStatus;
import org.apache.seata.core.model.BranchType;
import org.apache.seata.core.model.Resource;
import org.apache.seata.core.rpc.netty.RmNettyRemotingClient;
import org.apache.seata.rm.datasource.DataSourceManager;

/**
 * AT branches without a database: they lock rows as any Java data source does, and count how they end. Those that lock
 * or ask for locks do so in the transaction of the header TX_XID. Branches of real data sources end as they always do.
 *
 * <table>
 * <tr><td>/rows/open resource</td><td>registers the resource</td></tr>
 * <tr><td>/rows/register resource, keys</td><td>{"branch": TEXT}; code LockKeyConflict when they are taken</td></tr>
 * <tr><td>/rows/lockable resource, keys</td><td>{"lockable": BOOL}</td></tr>
 * <tr><td>/rows resource</td><td>{"commits": N, "rollbacks": N}</td></tr>
 * </table>
 */
final class Rows extends DataSourceManager {
    private static final String GROUP = "DEFAULT";

    private final Map<String, Resource> resources = new ConcurrentHashMap<>();
    private final Map<String, AtomicLong> commits = new ConcurrentHashMap<>();
    private final Map<String, AtomicLong> rollbacks = new ConcurrentHashMap<>();

    private record Table(String getResourceId) implements Resource {
        @Override
        public String getResourceGroupId() {
            return GROUP;
        }

        @Override
        public BranchType getBranchType() {
            return BranchType.AT;
        }
    }

    void serve(HttpFront http) {
        http.on("/rows/open", request -> {
            open(request.text("resource"));
            return Map.of();
        });
        http.on("/rows/register", request -> {
            long branch = register(RootContext.getXID(), request.text("resource"), request.text("keys"));
            return Map.of("branch", Long.toString(branch));
        });
        http.on("/rows/lockable", request -> Map.of("lockable", lockQuery(
                BranchType.AT, request.text("resource"), RootContext.getXID(), request.text("keys"))));
        http.on("/rows", request -> Map.of(
                "commits", commits(request.text("resource")), "rollbacks", rollbacks(request.text("resource"))));
    }

    long register(String xid, String resource, String keys) throws TransactionException {
        return branchRegister(BranchType.AT, resource, null, xid, null, keys);
    }

    long commits(String resource) {
        return count(commits, resource).get();
    }

    long rollbacks(String resource) {
        return count(rollbacks, resource).get();
    }

    /** Makes a resource known to the server. */
    void open(String resource) {
        registerResource(new Table(resource));
    }

    @Override
    public void registerResource(Resource resource) {
        if (!(resource instanceof Table)) {
            super.registerResource(resource);
            return;
        }
        resources.put(resource.getResourceId(), resource);
        RmNettyRemotingClient.getInstance().registerResource(GROUP, resource.getResourceId());
    }

    @Override
    public Map<String, Resource> getManagedResources() {
        Map<String, Resource> all = new HashMap<>(super.getManagedResources());
        // Called by the constructor of the superclass as well.
        if (resources != null) {
            all.putAll(resources);
        }
        return all;
    }

    @Override
    public BranchStatus branchCommit(BranchType type, String xid, long branch, String resource, String data)
            throws TransactionException {
        if (!resources.containsKey(resource)) {
            return super.branchCommit(type, xid, branch, resource, data);
        }
        count(commits, resource).incrementAndGet();
        return BranchStatus.PhaseTwo_Committed;
    }

    @Override
    public BranchStatus branchRollback(BranchType type, String xid, long branch, String resource, String data)
            throws TransactionException {
        if (!resources.containsKey(resource)) {
            return super.branchRollback(type, xid, branch, resource, data);
        }
        count(rollbacks, resource).incrementAndGet();
        return BranchStatus.PhaseTwo_Rollbacked;
    }

    private static AtomicLong count(Map<String, AtomicLong> counts, String resource) {
        return counts.computeIfAbsent(resource, any -> new AtomicLong());
    }
}
