//! A command's streams passed on to another server, whatever either wire: what upstream's API server does for clients
//! that speak WebSocket v5 and kubelets that speak SPDY (k8s.io/apiserver/pkg/util/proxy, KEP-4006).

use std::io;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

use crate::remote_command::{Outcome, RemoteCommand, Resizer, Resizes, Session};

/// Copies between `server`, which a client speaks to, and `client`, which speaks to the command's own server, until
/// the command ends or the client is gone; then tells the client how it ended.
pub async fn remote_command(mut server: RemoteCommand, mut client: Session) -> io::Result<()> {
    let gone = server.gone();
    let (stdin, stdout, stderr) = (server.stdin.take(), server.stdout.take(), server.stderr.take());
    let (to_stdin, from_stdout, from_stderr) =
        (client.stdin.take(), client.stdout.take(), client.stderr.take());
    let (from_resize, to_resize) = (server.resize.take(), client.resize.take());
    let inwards = async {
        tokio::join!(copy(stdin, to_stdin), resizes(from_resize, to_resize));
        // The command's end is what counts.
        std::future::pending().await
    };
    let outwards = async {
        tokio::join!(copy(from_stdout, stdout), copy(from_stderr, stderr));
        client.outcome().await.unwrap_or_else(Outcome::internal)
    };
    let outcome = tokio::select! {
        biased;
        () = gone.cancelled() => return Err(io::ErrorKind::ConnectionAborted.into()),
        outcome = outwards => outcome,
        outcome = inwards => outcome,
    };
    server.finish(outcome).await
}

/// Copies one way and ends the other side with this one. What fails has nobody left to hear of it.
async fn copy<R: AsyncRead + Unpin, W: AsyncWrite + Unpin>(reader: Option<R>, writer: Option<W>) {
    let (Some(mut reader), Some(mut writer)) = (reader, writer) else { return };
    if let Err(error) = tokio::io::copy(&mut reader, &mut writer).await {
        tracing::debug!(%error, "stream not copied to its end");
    }
    if let Err(error) = writer.shutdown().await {
        tracing::debug!(%error, "stream not ended");
    }
}

async fn resizes(from: Option<Resizes>, to: Option<Resizer>) {
    let (Some(mut from), Some(mut to)) = (from, to) else { return };
    while let Some(size) = from.next().await {
        if to.send(size).await.is_err() {
            return;
        }
    }
}
