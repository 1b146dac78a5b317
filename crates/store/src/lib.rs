//! The store: a durable log and one memory over it, with etcd's semantics.
