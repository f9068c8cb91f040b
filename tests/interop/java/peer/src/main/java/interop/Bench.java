package interop;

import com.sun.management.OperatingSystemMXBean;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.seata.core.exception.TransactionException;
import org.apache.seata.core.model.BranchType;
import org.apache.seata.core.model.TransactionManager;
import org.apache.seata.rm.DefaultResourceManager;
import org.apache.seata.rm.RMClient;
import org.apache.seata.tm.TMClient;
import org.apache.seata.tm.TransactionManagerHolder;

/**
 * Global transactions as fast as Java's client makes them, with its defaults; one thread each.
 *
 * <p>Reads turns from standard input, {@code WORK CONCURRENCY MILLISECONDS}, and answers each with {@code DONE
 * NANOSECONDS CPU_NANOSECONDS RESIDENT_BYTES}. WORK is {@code empty} (begin, commit) or {@code branch} (begin, register
 * an AT branch with one lock, commit). The CPU time of a turn includes the phase two of its branches, its length does
 * not. Prints {@code ready} at first; ends at the end of its input.
 */
public final class Bench {
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
        Bench bench = new Bench(branches);

        BufferedReader turns = new BufferedReader(new InputStreamReader(System.in));
        System.out.println("ready");
        for (String turn = turns.readLine(); turn != null; turn = turns.readLine()) {
            String[] words = turn.split(" ");
            System.out.println(bench.turn(words[0], Integer.parseInt(words[1]), Long.parseLong(words[2])));
        }
        Runtime.getRuntime().halt(0);
    }

    private String turn(String work, int concurrency, long milliseconds) throws Exception {
        ExecutorService workers = Executors.newFixedThreadPool(concurrency);
        long cpu = cpuTime();
        long start = System.nanoTime();
        long end = start + milliseconds * 1_000_000;
        List<Future<Long>> counts = new ArrayList<>();
        for (int worker = 0; worker < concurrency; worker++) {
            counts.add(workers.submit(() -> work(work.equals("branch"), end)));
        }
        long done = 0;
        for (Future<Long> count : counts) {
            done += count.get();
        }
        long time = System.nanoTime() - start;
        workers.shutdown();
        drain();
        return done + " " + time + " " + (cpuTime() - cpu) + " " + residentBytes();
    }

    private long work(boolean hasBranch, long end) throws TransactionException {
        long done = 0;
        while (System.nanoTime() < end) {
            String xid = transactions.begin(null, null, "bench", TIMEOUT);
            if (hasBranch) {
                branches.register(xid, RESOURCE, "bench:" + rows.incrementAndGet());
            }
            transactions.commit(xid);
            done += 1;
        }
        return done;
    }

    private void drain() throws InterruptedException {
        long end = System.nanoTime() + DRAIN_LIMIT_NANOS;
        while (branches.commits(RESOURCE) < rows.get()) {
            if (System.nanoTime() > end) {
                throw new IllegalStateException("phase two does not come to its end");
            }
            Thread.sleep(1);
        }
    }

    private static long cpuTime() {
        return ((OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean()).getProcessCpuTime();
    }

    private static long residentBytes() throws IOException {
        String status = Files.readString(Path.of("/proc/self/status"));
        String line = status.lines().filter(each -> each.startsWith("VmRSS:")).findFirst().orElseThrow();
        return Long.parseLong(line.replaceAll("\\D", "")) * 1024;
    }
}
