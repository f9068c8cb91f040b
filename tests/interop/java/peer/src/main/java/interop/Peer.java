package interop;

import java.io.IOException;
import java.io.OutputStream;
import org.apache.seata.core.model.BranchType;
import org.apache.seata.rm.DefaultResourceManager;
import org.apache.seata.rm.RMClient;
import org.apache.seata.tm.TMClient;

/**
 * A Java application that takes part in global transactions, and does what it is told over HTTP.
 *
 * <p>Prints one line, {@code http PORT grpc PORT}, when it is ready. Ends at the end of its standard input, so that a
 * test that is killed leaves no peer behind.
 *
 * <p>System properties: {@code service.default.grouplist} (the server's address; Seata's own name), {@code peer.name}
 * (application id, default {@code java-peer}), {@code peer.accessKey} and {@code peer.secretKey}.
 */
public final class Peer {
    private static final String GROUP = "default_tx_group";

    private Peer() {
    }

    public static void main(String[] args) throws IOException {
        String name = System.getProperty("peer.name", "java-peer");
        Rows rows = new Rows();
        DefaultResourceManager.get();
        DefaultResourceManager.mockResourceManager(BranchType.AT, rows);
        TMClient.init(name, GROUP, System.getProperty("peer.accessKey"), System.getProperty("peer.secretKey"));
        RMClient.init(name, GROUP);

        Accounts accounts = new Accounts();
        HttpFront http = HttpFront.start();
        Transactions.serve(http);
        accounts.serve(http);
        rows.serve(http);
        Calls.serve(http);
        Databases databases = new Databases();
        databases.serve(http);
        new Load(databases).serve(http);
        Sagas.serve(http, name + "#" + GROUP);
        int grpc = GrpcFront.start(accounts);

        System.out.println("http " + http.port() + " grpc " + grpc);
        System.in.transferTo(OutputStream.nullOutputStream());
        Runtime.getRuntime().halt(0);
    }
}
