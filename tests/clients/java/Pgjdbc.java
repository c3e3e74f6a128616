// What an application does through pgJDBC, each in a method; prints "ok <name>" for each one that was right.
// java -cp postgresql.jar Pgjdbc.java <port> <database> <user> <ca file> <check>...   (the password: environment TOKEN)

import java.io.ByteArrayOutputStream;
import java.io.StringReader;
import java.math.BigDecimal;
import java.sql.*;
import java.util.*;
import org.postgresql.PGConnection;
import org.postgresql.copy.CopyManager;

public class Pgjdbc {
    static String url, user, ca;
    static final String AUTHOR = "jdbc-" + ProcessHandle.current().pid();

    public static void main(String[] a) throws Exception {
        url = "jdbc:postgresql://localhost:" + a[0] + "/" + a[1];
        user = a[2];
        ca = a[3];
        for (String check : Arrays.copyOfRange(a, 4, a.length)) {
            try {
                Pgjdbc.class.getDeclaredMethod(check).invoke(null);
                System.out.println("ok " + check);
            } catch (java.lang.reflect.InvocationTargetException e) {
                System.out.println("failed " + check + ": " + e.getCause());
                e.getCause().printStackTrace();
            }
        }
    }

    static Connection open(String... more) throws SQLException {
        Properties p = new Properties();
        p.put("user", user);
        p.put("password", System.getenv("TOKEN"));
        p.put("sslmode", "verify-full");
        p.put("sslrootcert", ca);
        p.put("ApplicationName", "pgjdbc");
        for (int i = 0; i < more.length; i += 2) p.put(more[i], more[i + 1]);
        return DriverManager.getConnection(url, p);
    }

    static void same(Object got, Object wanted) {
        if (!Objects.equals(got, wanted)) throw new AssertionError("got " + got + ", wanted " + wanted);
    }

    static Object one(Connection c, String sql, Object... args) throws SQLException {
        try (PreparedStatement s = c.prepareStatement(sql)) {
            for (int i = 0; i < args.length; i++) s.setObject(i + 1, args[i]);
            try (ResultSet r = s.executeQuery()) { return r.next() ? r.getObject(1) : null; }
        }
    }

    static String state(Connection c, String sql) throws SQLException {
        try (Statement s = c.createStatement()) {
            s.execute(sql);
            return "no error";
        } catch (SQLException e) {
            return e.getSQLState();
        }
    }

    // Server-prepared from the second execution on; binary results from then on, too.
    static void prepared() throws SQLException {
        try (Connection c = open("prepareThreshold", "2");
             PreparedStatement s = c.prepareStatement("SELECT total, ordered_at, status FROM orders WHERE id = ?")) {
            BigDecimal first = null;
            for (int n = 0; n < 6; n++) {
                s.setInt(1, 7);
                try (ResultSet r = s.executeQuery()) {
                    if (!r.next()) throw new AssertionError("no order 7");
                    if (first == null) first = r.getBigDecimal(1);
                    same(r.getBigDecimal(1), first);
                    if (r.getTimestamp(2) == null) throw new AssertionError("no time");
                }
            }
        }
    }

    static void cursor() throws SQLException {
        try (Connection c = open()) {
            c.setAutoCommit(false);
            long wanted = (Long) one(c, "SELECT count(*) FROM order_items");
            try (PreparedStatement s = c.prepareStatement("SELECT order_id, unit_price FROM order_items")) {
                s.setFetchSize(100);
                long n = 0;
                try (ResultSet r = s.executeQuery()) { while (r.next()) n++; }
                same(n, wanted);
            }
            c.rollback();
        }
    }

    static void transactions() throws SQLException {
        try (Connection c = open()) {
            c.setAutoCommit(false);
            String insert = "INSERT INTO notes (customer_id, author, body) VALUES (?, ?, ?)";
            String count = "SELECT count(*) FROM notes WHERE author = ?";
            try (PreparedStatement s = c.prepareStatement(insert)) {
                for (int i = 1; i <= 20; i++) {
                    s.setInt(1, i);
                    s.setString(2, AUTHOR);
                    s.setString(3, "batch " + i);
                    s.addBatch();
                }
                same(s.executeBatch().length, 20);
            }
            c.rollback();
            same(one(c, count, AUTHOR), 0L);
            try (PreparedStatement s = c.prepareStatement(insert, Statement.RETURN_GENERATED_KEYS)) {
                s.setInt(1, 1);
                s.setString(2, AUTHOR);
                s.setString(3, "kept");
                s.executeUpdate();
                try (ResultSet keys = s.getGeneratedKeys()) { same(keys.next(), true); }
            }
            Savepoint point = c.setSavepoint();
            same(state(c, "SELECT 1/0"), "22012");
            c.rollback(point);
            c.commit();
            same(one(c, count, AUTHOR), 1L);
            try (PreparedStatement s = c.prepareStatement("DELETE FROM notes WHERE author = ?")) {
                s.setString(1, AUTHOR);
                same(s.executeUpdate(), 1);
            }
            c.commit();
        }
    }

    static void copy() throws Exception {
        try (Connection c = open()) {
            CopyManager copies = c.unwrap(PGConnection.class).getCopyAPI();
            ByteArrayOutputStream out = new ByteArrayOutputStream();
            long rows = copies.copyOut("COPY (SELECT id, name FROM products ORDER BY id) TO STDOUT (FORMAT csv)", out);
            same(rows, one(c, "SELECT count(*) FROM products"));
            StringBuilder in = new StringBuilder();
            for (int i = 1; i <= 500; i++) in.append(i).append('\t').append(AUTHOR).append("\tline ").append(i).append('\n');
            c.setAutoCommit(false);
            same(copies.copyIn("COPY notes (customer_id, author, body) FROM STDIN", new StringReader(in.toString())), 500L);
            same(one(c, "SELECT count(*) FROM notes WHERE author = ?", AUTHOR), 500L);
            c.rollback();
            same(one(c, "SELECT count(*) FROM notes WHERE author = ?", AUTHOR), 0L);
            c.rollback();
        }
    }

    static void cancel() throws Exception {
        try (Connection c = open(); Statement s = c.createStatement()) {
            Thread canceller = new Thread(() -> {
                try { Thread.sleep(300); s.cancel(); } catch (Exception e) { throw new RuntimeException(e); }
            });
            canceller.start();
            long began = System.nanoTime();
            try {
                s.execute("SELECT pg_sleep(20)");
                throw new AssertionError("was not cancelled");
            } catch (SQLException e) {
                same(e.getSQLState(), "57014");
            }
            canceller.join();
            if (System.nanoTime() - began > 10_000_000_000L) throw new AssertionError("took too long");
            same(one(c, "SELECT 1"), 1);
        }
    }

    static void errors() throws SQLException {
        try (Connection c = open()) {
            same(state(c, "SELECT 1/0"), "22012");
            same(state(c, "SELEC 1"), "42601");
            same(state(c, "SELECT nothing FROM orders"), "42703");
            same(state(c, "SELECT * FROM no_such_table"), "42P01");
            same(state(c, "SELECT pg_read_file('/etc/passwd')"), "42501");
            c.setAutoCommit(false);
            same(state(c, "SELECT 1/0"), "22012");
            same(state(c, "SELECT 1"), "25P02");
            c.rollback();
            same(one(c, "SELECT 2"), 2);
            c.rollback();
        }
    }

    static void metadata() throws SQLException {
        try (Connection c = open()) {
            DatabaseMetaData m = c.getMetaData();
            Set<String> tables = new TreeSet<>();
            try (ResultSet r = m.getTables(null, null, "%", new String[] {"TABLE"})) {
                while (r.next()) tables.add(r.getString("TABLE_NAME"));
            }
            if (!tables.containsAll(List.of("customers", "orders", "notes"))) throw new AssertionError(tables.toString());
            int n = 0;
            try (ResultSet r = m.getColumns(null, null, "orders", "total")) { while (r.next()) n++; }
            same(n, 1);
            try (ResultSet r = m.getPrimaryKeys(null, null, "orders")) { same(r.next(), true); }
        }
    }

    // Sees its own rows and no other's; the number is for the caller to compare.
    static void orders() throws SQLException {
        try (Connection c = open()) {
            System.out.println("orders " + one(c, "SELECT count(*) FROM orders"));
        }
    }
}
