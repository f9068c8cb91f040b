package interop;

import com.alibaba.fastjson.JSONArray;
import com.mysql.cj.jdbc.MysqlDataSource;
import com.zaxxer.hikari.HikariConfig;
import com.zaxxer.hikari.HikariDataSource;
import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import javax.sql.DataSource;
import org.apache.seata.core.context.RootContext;
import org.apache.seata.core.model.BranchType;
import org.apache.seata.rm.datasource.DataSourceProxy;
import org.apache.seata.rm.datasource.xa.DataSourceProxyXA;
import org.postgresql.ds.PGSimpleDataSource;

/**
 * Databases of MySQL's kind and of PostgreSQL's, each behind Seata's data sources for AT and for XA.
 *
 * <table>
 * <tr><td>/database/open name, url</td><td>registers it as a resource of both modes</td></tr>
 * <tr><td>/database/run name, mode, statements</td><td>{"rows": [TEXT]} of the last one; all in one local transaction.
 * Mode AT or XA: a branch of the transaction of the header TX_XID. Mode PLAIN: past Seata</td></tr>
 * </table>
 */
final class Databases {
    private static final int CONNECTIONS = 32;

    private final Map<String, Database> databases = new ConcurrentHashMap<>();

    private record Database(DataSource plain, DataSource at, DataSource xa) {
        DataSource in(String mode) {
            return switch (mode) {
                case "AT" -> at;
                case "XA" -> xa;
                case "PLAIN" -> plain;
                default -> throw new IllegalArgumentException("mode " + mode + " is none of AT, XA, PLAIN");
            };
        }
    }

    void serve(HttpFront http) {
        http.on("/database/open", request -> {
            databases.put(request.text("name"), open(request.text("url")));
            return Map.of();
        });
        http.on("/database/run", request -> {
            List<String> statements = ((JSONArray) request.value("statements")).toJavaList(String.class);
            return Map.of("rows", run(request.text("name"), request.text("mode"), statements));
        });
    }

    private static Database open(String url) {
        HikariConfig config = new HikariConfig();
        config.setJdbcUrl(url);
        config.setMaximumPoolSize(CONNECTIONS);
        config.setMinimumIdle(1);
        DataSource pool = new HikariDataSource(config);
        return new Database(pool, new DataSourceProxy(pool), new DataSourceProxyXA(single(url)));
    }

    /** Not pooled: a connection that was prepared is of no use to others. */
    private static DataSource single(String url) {
        if (url.startsWith("jdbc:postgresql:")) {
            PGSimpleDataSource source = new PGSimpleDataSource();
            source.setURL(url);
            return source;
        }
        MysqlDataSource source = new MysqlDataSource();
        source.setURL(url);
        return source;
    }

    List<String> run(String name, String mode, List<String> statements) throws SQLException {
        DataSource source = databases.get(name).in(mode);
        // The default is that of the data source that was made last.
        if (!mode.equals("PLAIN")) {
            RootContext.bindBranchType(BranchType.get(mode));
        }
        try (Connection connection = source.getConnection()) {
            connection.setAutoCommit(false);
            try {
                List<String> rows = execute(connection, statements);
                connection.commit();
                return rows;
            } catch (SQLException | RuntimeException error) {
                connection.rollback();
                throw error;
            }
        } finally {
            RootContext.unbindBranchType();
        }
    }

    private static List<String> execute(Connection connection, List<String> statements) throws SQLException {
        List<String> rows = List.of();
        for (String text : statements) {
            // Prepared, or Seata finds no generated keys on PostgreSQL, and refuses ON DUPLICATE KEY UPDATE on MySQL.
            try (PreparedStatement statement = connection.prepareStatement(text)) {
                rows = statement.execute() ? read(statement.getResultSet()) : List.of();
            }
        }
        return rows;
    }

    private static List<String> read(ResultSet results) throws SQLException {
        List<String> rows = new ArrayList<>();
        while (results.next()) {
            List<String> columns = new ArrayList<>();
            for (int column = 1; column <= results.getMetaData().getColumnCount(); column++) {
                columns.add(results.getString(column));
            }
            rows.add(String.join("|", columns));
        }
        return rows;
    }
}
