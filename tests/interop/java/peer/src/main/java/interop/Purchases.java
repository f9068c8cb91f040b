package interop;

import com.zaxxer.hikari.HikariConfig;
import com.zaxxer.hikari.HikariDataSource;
import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.util.List;
import javax.sql.DataSource;
import org.apache.seata.core.context.RootContext;
import org.apache.seata.core.model.TransactionManager;
import org.apache.seata.rm.RMClient;
import org.apache.seata.rm.datasource.DataSourceProxy;
import org.apache.seata.tm.TMClient;
import org.apache.seata.tm.TransactionManagerHolder;

/**
 * Purchases as fast as JDBC makes them, and Java's AT mode with its defaults, in {@link Turns}: an UPDATE in one
 * database, an UPDATE and an INSERT in another, three local transactions.
 *
 * <p>Arguments: the JDBC addresses of storage and of books. The work is {@code plain} or {@code at}.
 */
public final class Purchases implements Turns.Work {
    private static final String GROUP = "default_tx_group";
    private static final int CONNECTIONS = 32;
    private static final int ROWS = 128;
    private static final int TIMEOUT = 60_000;
    private static final long DRAIN_LIMIT_NANOS = 60_000_000_000L;

    private final TransactionManager transactions = TransactionManagerHolder.get();
    private final List<DataSource> plain;
    private final List<DataSource> at;

    private Purchases(List<DataSource> plain) {
        this.plain = plain;
        this.at = plain.stream().<DataSource>map(DataSourceProxy::new).toList();
    }

    public static void main(String[] args) throws Exception {
        TMClient.init("purchases-java", GROUP);
        RMClient.init("purchases-java", GROUP);
        Turns.serve(new Purchases(List.of(pool(args[0]), pool(args[1]))));
    }

    private static DataSource pool(String url) {
        HikariConfig config = new HikariConfig();
        config.setJdbcUrl(url);
        config.setMaximumPoolSize(CONNECTIONS);
        return new HikariDataSource(config);
    }

    @Override
    public void run(String work, int worker) throws Exception {
        if (work.equals("plain")) {
            purchase(plain, worker % ROWS);
            return;
        }
        String xid = transactions.begin(null, null, "purchase", TIMEOUT);
        RootContext.bind(xid);
        try {
            purchase(at, worker % ROWS);
        } finally {
            RootContext.unbind();
        }
        transactions.commit(xid);
    }

    private static void purchase(List<DataSource> databases, long row) throws SQLException {
        execute(databases.get(0), "UPDATE stock SET count = count - 1 WHERE id = ?", row);
        execute(databases.get(1), "UPDATE account SET money = money - 5 WHERE id = ?", row);
        execute(databases.get(1), "INSERT INTO orders (account, product, money) VALUES (?, ?, 5)", row, row);
    }

    private static void execute(DataSource database, String sql, long... arguments) throws SQLException {
        try (Connection connection = database.getConnection();
                PreparedStatement statement = connection.prepareStatement(sql)) {
            for (int index = 0; index < arguments.length; index++) {
                statement.setLong(index + 1, arguments[index]);
            }
            statement.executeUpdate();
        }
    }

    @Override
    public void drain() throws Exception {
        long end = System.nanoTime() + DRAIN_LIMIT_NANOS;
        for (DataSource database : plain) {
            while (hasUndoLogs(database)) {
                if (System.nanoTime() > end) {
                    throw new IllegalStateException("phase two does not come to its end");
                }
                Thread.sleep(10);
            }
        }
    }

    private static boolean hasUndoLogs(DataSource database) throws SQLException {
        try (Connection connection = database.getConnection();
                PreparedStatement statement = connection.prepareStatement("SELECT 1 FROM undo_log LIMIT 1");
                ResultSet rows = statement.executeQuery()) {
            return rows.next();
        }
    }
}
