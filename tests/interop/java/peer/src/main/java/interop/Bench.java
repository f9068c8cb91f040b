package interop;

import java.util.concurrent.atomic.AtomicLong;
import org.apache.seata.core.model.BranchType;
import org.apache.seata.core.model.TransactionManager;
import org.apache.seata.rm.DefaultResourceManager;
import org.apache.seata.rm.RMClient;
import org.apache.seata.tm.TMClient;
import org.apache.seata.tm.TransactionManagerHolder;

/**
 * Global transactions as fast as Java's client makes them, with its defaults, in {@link Turns}.
 *
 * <p>The work is {@code empty} (begin, commit) or {@code branch} (begin, register an AT branch with one lock, commit).
 */
public final class Bench implements Turns.Work {
    private static final String GROUP = "default_tx_group";
    private static final String RESOURCE = "jdbc:bench:java";
    private static final int TIMEOUT = 60_000;
    private static final long DRAIN_LIMIT_NANOS = 60_000_000_000L;

    private final TransactionManager transactions = TransactionManagerHolder.get();
    private final AtomicLong rows = new AtomicLong();
    private final Rows branches;

    private Bench(Rows branches) {
        this.branches = branches;
    }

    public static void main(String[] args) throws Exception {
        Rows branches = new Rows();
        DefaultResourceManager.get();
        DefaultResourceManager.mockResourceManager(BranchType.AT, branches);
        TMClient.init("bench-java", GROUP);
        RMClient.init("bench-java", GROUP);
        branches.open(RESOURCE);
        Turns.serve(new Bench(branches));
    }

    @Override
    public void run(String work, int worker) throws Exception {
        String xid = transactions.begin(null, null, "bench", TIMEOUT);
        if (work.equals("branch")) {
            branches.register(xid, RESOURCE, "bench:" + rows.incrementAndGet());
        }
        transactions.commit(xid);
    }

    @Override
    public void drain() throws InterruptedException {
        long end = System.nanoTime() + DRAIN_LIMIT_NANOS;
        while (branches.commits(RESOURCE) < rows.get()) {
            if (System.nanoTime() > end) {
                throw new IllegalStateException("phase two does not come to its end");
            }
            Thread.sleep(1);
        }
    }
}
