package interop;

import com.google.protobuf.Int64Value;
import com.google.protobuf.StringValue;
import io.grpc.CallOptions;
import io.grpc.ClientInterceptors;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.MethodDescriptor;
import io.grpc.ServerInterceptors;
import io.grpc.ServerServiceDefinition;
import io.grpc.Status;
import io.grpc.netty.shaded.io.grpc.netty.NettyServerBuilder;
import io.grpc.protobuf.ProtoUtils;
import io.grpc.stub.ClientCalls;
import io.grpc.stub.ServerCalls;
import io.grpc.stub.StreamObserver;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.util.concurrent.TimeUnit;
import org.apache.seata.integration.grpc.interceptor.client.ClientTransactionInterceptor;
import org.apache.seata.integration.grpc.interceptor.server.ServerTransactionInterceptor;

/**
 * gRPC with Seata's own interceptors. Served is {@code interop.Accounts/Reserve}: from a {@code StringValue}
 * "ACCOUNT AMOUNT" to an {@code Int64Value}, the balance that is left.
 */
final class GrpcFront {
    private static final long CALL_LIMIT_SECONDS = 20;

    private GrpcFront() {
    }

    /** Returns the port. */
    static int start(Accounts accounts) throws IOException {
        var reserve = MethodDescriptor
                .newBuilder(ProtoUtils.marshaller(StringValue.getDefaultInstance()),
                        ProtoUtils.marshaller(Int64Value.getDefaultInstance()))
                .setType(MethodDescriptor.MethodType.UNARY)
                .setFullMethodName("interop.Accounts/Reserve")
                .build();
        var service = ServerServiceDefinition.builder("interop.Accounts")
                .addMethod(reserve, ServerCalls.asyncUnaryCall(
                        (StringValue request, StreamObserver<Int64Value> answer) -> reserve(accounts, request, answer)))
                .build();
        return NettyServerBuilder.forAddress(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0))
                .addService(ServerInterceptors.intercept(service, new ServerTransactionInterceptor()))
                .build()
                .start()
                .getPort();
    }

    private static void reserve(Accounts accounts, StringValue request, StreamObserver<Int64Value> answer) {
        String[] words = request.getValue().split(" ");
        try {
            Account account = accounts.reserve(words[0], Long.parseLong(words[1]));
            answer.onNext(Int64Value.of(account.holdings().balance()));
            answer.onCompleted();
        } catch (Exception error) {
            answer.onError(Status.FAILED_PRECONDITION.withDescription(error.getMessage()).asException());
        }
    }

    /** Calls a unary method with a message that is encoded already. */
    static byte[] call(String address, String method, byte[] message) throws InterruptedException {
        var descriptor = MethodDescriptor.newBuilder(new AsItIs(), new AsItIs())
                .setType(MethodDescriptor.MethodType.UNARY)
                .setFullMethodName(method)
                .build();
        ManagedChannel channel = Grpc.newChannelBuilder(address, InsecureChannelCredentials.create()).build();
        try {
            return ClientCalls.blockingUnaryCall(
                    ClientInterceptors.intercept(channel, new ClientTransactionInterceptor()),
                    descriptor,
                    CallOptions.DEFAULT.withDeadlineAfter(CALL_LIMIT_SECONDS, TimeUnit.SECONDS),
                    message);
        } finally {
            channel.shutdownNow().awaitTermination(CALL_LIMIT_SECONDS, TimeUnit.SECONDS);
        }
    }

    private static final class AsItIs implements MethodDescriptor.Marshaller<byte[]> {
        @Override
        public InputStream stream(byte[] message) {
            return new ByteArrayInputStream(message);
        }

        @Override
        public byte[] parse(InputStream stream) {
            try {
                return stream.readAllBytes();
            } catch (IOException error) {
                throw new UncheckedIOException(error);
            }
        }
    }
}
