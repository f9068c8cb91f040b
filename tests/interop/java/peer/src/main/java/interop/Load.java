package interop;

import java.lang.reflect.Field;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.seata.core.context.RootContext;
import org.apache.seata.core.model.TransactionManager;
import org.apache.seata.core.rpc.netty.RmNettyRemotingClient;
import org.apache.seata.tm.TransactionManagerHolder;

/**
 * Many transfers at a time between two databases, or in one, with a table {@code account (id, money)}.
 *
 * <table>
 * <tr><td>/load threads, times, merging (true or false), left, right, accounts</td>
 * <td>{"committed": N, "rolledBack": N, "refused": N}; one in eight is given up, refused are those that got no lock
 * </td></tr>
 * </table>
 */
final class Load {
    private static final int TIMEOUT = 60_000;
    private static final int GIVEN_UP = 8;

    private final TransactionManager transactions = TransactionManagerHolder.get();
    private final Databases databases;

    private static final class Counts {
        final AtomicLong committed = new AtomicLong();
        final AtomicLong rolledBack = new AtomicLong();
        final AtomicLong refused = new AtomicLong();
    }

    Load(Databases databases) {
        this.databases = databases;
    }

    void serve(HttpFront http) {
        http.on("/load", request -> {
            merge(Boolean.parseBoolean(request.text("merging")));
            Counts counts = new Counts();
            int threads = (int) request.number("threads");
            ExecutorService workers = Executors.newFixedThreadPool(threads);
            List<Future<?>> ends = new ArrayList<>();
            for (int thread = 0; thread < threads; thread++) {
                ends.add(workers.submit(() -> {
                    for (long time = 0; time < request.number("times"); time++) {
                        transfer(request, time, counts);
                    }
                    return null;
                }));
            }
            workers.shutdown();
            for (Future<?> end : ends) {
                end.get();
            }
            return Map.of("committed", counts.committed, "rolledBack", counts.rolledBack, "refused", counts.refused);
        });
    }

    private void transfer(HttpFront.Request request, long time, Counts counts) throws Exception {
        long accounts = request.number("accounts");
        long payer = ThreadLocalRandom.current().nextLong(accounts);
        // Another row, as it may be in the same table.
        long payee = (payer + ThreadLocalRandom.current().nextLong(1, accounts)) % accounts;
        String xid = transactions.begin(null, null, "transfer", TIMEOUT);
        RootContext.bind(xid);
        try {
            change(request.text("left"), -1, payer + 1);
            change(request.text("right"), 1, payee + 1);
        } catch (Exception noLock) {
            transactions.rollback(xid);
            counts.refused.incrementAndGet();
            return;
        } finally {
            RootContext.unbind();
        }
        if (time % GIVEN_UP == 0) {
            transactions.rollback(xid);
            counts.rolledBack.incrementAndGet();
        } else {
            transactions.commit(xid);
            counts.committed.incrementAndGet();
        }
    }

    private void change(String database, int amount, long id) throws Exception {
        databases.run(database, "AT", List.of("UPDATE account SET money = money + " + amount + " WHERE id = " + id));
    }

    /** The client reads its setting once, at its start. */
    private static void merge(boolean on) throws ReflectiveOperationException {
        Field field = RmNettyRemotingClient.class.getSuperclass().getDeclaredField("enableClientBatchSendRequest");
        field.setAccessible(true);
        field.set(RmNettyRemotingClient.getInstance(), on);
    }
}
