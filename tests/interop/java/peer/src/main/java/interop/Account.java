package interop;

import com.alibaba.fastjson.JSON;
import java.util.HashMap;
import java.util.Map;
import org.apache.seata.core.context.RootContext;
import org.apache.seata.core.exception.TransactionException;
import org.apache.seata.core.model.BranchType;
import org.apache.seata.rm.DefaultResourceManager;
import org.apache.seata.rm.tcc.TCCResource;
import org.apache.seata.rm.tcc.api.BusinessActionContext;

/**
 * Money in memory, changed in TCC mode: reserved in phase one, spent or given back in phase two. Phase two comes through
 * Seata's own resource manager for TCC.
 */
public final class Account {
    private final String resource;
    private final Map<Long, Long> reservations = new HashMap<>();
    private long balance;
    private long commits;
    private long rollbacks;
    /** How many more commits are to fail. */
    private long failures;

    /** What an account holds. {@code commits} and {@code rollbacks} count the branches that ended so. */
    public record Holdings(long balance, long reserved, long commits, long rollbacks) {
        // Bean names, for the JSON writer.
        public long getBalance() {
            return balance;
        }

        public long getReserved() {
            return reserved;
        }

        public long getCommits() {
            return commits;
        }

        public long getRollbacks() {
            return rollbacks;
        }
    }

    private Account(String name, long balance) {
        this.resource = "account-" + name;
        this.balance = balance;
    }

    static Account open(String name, long balance) throws NoSuchMethodException {
        Account account = new Account(name, balance);
        Class<?>[] arguments = {BusinessActionContext.class};
        TCCResource resource = new TCCResource();
        resource.setActionName(account.resource);
        resource.setTargetBean(account);
        resource.setCommitMethodName("commit");
        resource.setCommitMethod(Account.class.getMethod("commit", arguments));
        resource.setCommitArgsClasses(arguments);
        resource.setPhaseTwoCommitKeys(new String[1]);
        resource.setRollbackMethodName("rollback");
        resource.setRollbackMethod(Account.class.getMethod("rollback", arguments));
        resource.setRollbackArgsClasses(arguments);
        resource.setPhaseTwoRollbackKeys(new String[1]);
        DefaultResourceManager.get().registerResource(resource);
        return account;
    }

    /** Phase one: a branch of the current transaction, and money set aside for it. */
    synchronized void reserve(long amount) throws TransactionException {
        String xid = RootContext.getXID();
        if (xid == null) {
            throw new IllegalStateException("no transaction came with the request");
        }
        if (balance < amount) {
            throw new IllegalStateException("has " + balance + ", less than " + amount);
        }
        String context = JSON.toJSONString(Map.of("actionContext", Map.of("amount", amount)));
        long branch = DefaultResourceManager.get()
                .branchRegister(BranchType.TCC, resource, null, xid, context, null);
        balance -= amount;
        reservations.put(branch, amount);
    }

    /** Phase two. {@code false} has the server ask again. */
    public synchronized boolean commit(BusinessActionContext context) {
        if (failures > 0) {
            failures -= 1;
            return false;
        }
        if (reservations.remove(context.getBranchId()) != null) {
            commits += 1;
        }
        return true;
    }

    /** Phase two. {@code false} has the server ask again. */
    public synchronized boolean rollback(BusinessActionContext context) {
        Long amount = reservations.remove(context.getBranchId());
        if (amount != null) {
            balance += amount;
            rollbacks += 1;
        }
        return true;
    }

    synchronized void failCommits(long times) {
        failures = times;
    }

    synchronized Holdings holdings() {
        long reserved = reservations.values().stream().mapToLong(Long::longValue).sum();
        return new Holdings(balance, reserved, commits, rollbacks);
    }
}
