package interop;

import java.io.IOException;
import java.io.OutputStream;

/**
 * The Java server, unchanged, that ends when whoever started it is gone: at the end of its standard input.
 * So a test that is killed leaves no server behind.
 */
public final class Server {
    private Server() {
    }

    /** Arguments are those of the server. */
    public static void main(String[] args) throws IOException {
        Thread watch = new Thread(Server::endWithStarter, "starter-watch");
        watch.setDaemon(true);
        watch.start();
        io.seata.server.ServerApplication.main(args);
    }

    private static void endWithStarter() {
        try {
            System.in.transferTo(OutputStream.nullOutputStream());
        } catch (IOException gone) {
            // As good as the end.
        }
        Runtime.getRuntime().halt(0);
    }
}
