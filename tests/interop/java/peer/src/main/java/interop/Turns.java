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

/**
 * Turns of a benchmark; one thread for each that works at the same time.
 *
 * <p>Reads them from standard input, {@code WORK CONCURRENCY MILLISECONDS}, and answers each with {@code DONE
 * NANOSECONDS CPU_NANOSECONDS RESIDENT_BYTES}. The CPU time of a turn includes the phase two of its branches, its length
 * does not. Prints {@code ready} at first; ends the process at the end of its input.
 */
final class Turns {
    /** What is done again and again. */
    interface Work {
        void run(String work, int worker) throws Exception;

        /** Waits for the phase two of all that was done. */
        void drain() throws Exception;
    }

    private final Work work;

    private Turns(Work work) {
        this.work = work;
    }

    static void serve(Work work) throws Exception {
        Turns turns = new Turns(work);
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in));
        System.out.println("ready");
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            String[] words = line.split(" ");
            System.out.println(turns.turn(words[0], Integer.parseInt(words[1]), Long.parseLong(words[2])));
        }
        Runtime.getRuntime().halt(0);
    }

    private String turn(String name, int concurrency, long milliseconds) throws Exception {
        ExecutorService workers = Executors.newFixedThreadPool(concurrency);
        long cpu = cpuTime();
        long start = System.nanoTime();
        long end = start + milliseconds * 1_000_000;
        List<Future<Long>> counts = new ArrayList<>();
        for (int worker = 0; worker < concurrency; worker++) {
            int number = worker;
            counts.add(workers.submit(() -> repeat(name, number, end)));
        }
        long done = 0;
        for (Future<Long> count : counts) {
            done += count.get();
        }
        long time = System.nanoTime() - start;
        workers.shutdown();
        work.drain();
        return done + " " + time + " " + (cpuTime() - cpu) + " " + residentBytes();
    }

    private long repeat(String name, int worker, long end) throws Exception {
        long done = 0;
        while (System.nanoTime() < end) {
            work.run(name, worker);
            done += 1;
        }
        return done;
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
