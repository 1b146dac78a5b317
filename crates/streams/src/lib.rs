//! SPDY/3.1, WebSocket and their tunnel, for exec, attach and port-forward.
