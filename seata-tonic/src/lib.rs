//! Tower layers that carry the transaction context over gRPC.
