package interop;

import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

/**
 * The accounts of this peer.
 *
 * <table>
 * <tr><td>/account/open account, balance</td><td>makes an account, and registers it as a TCC resource</td></tr>
 * <tr><td>/account/reserve account, amount</td><td>phase one, in the transaction of the header TX_XID</td></tr>
 * <tr><td>/account/fail account, times</td><td>so many of its commits will fail</td></tr>
 * <tr><td>/account account</td><td>what it holds, see {@link Account.Holdings}</td></tr>
 * </table>
 */
final class Accounts {
    private final Map<String, Account> accounts = new ConcurrentHashMap<>();

    void serve(HttpFront http) {
        http.on("/account/open", request -> {
            Account account = Account.open(request.text("account"), request.number("balance"));
            accounts.put(request.text("account"), account);
            return account.holdings();
        });
        http.on("/account/reserve",
                request -> reserve(request.text("account"), request.number("amount")).holdings());
        http.on("/account/fail", request -> {
            account(request.text("account")).failCommits(request.number("times"));
            return Map.of();
        });
        http.on("/account", request -> account(request.text("account")).holdings());
    }

    /** Phase one, in the caller's transaction. */
    Account reserve(String name, long amount) throws Exception {
        Account account = account(name);
        account.reserve(amount);
        return account;
    }

    private Account account(String name) {
        Account account = accounts.get(name);
        if (account == null) {
            throw new IllegalArgumentException("there is no account " + name);
        }
        return account;
    }
}
