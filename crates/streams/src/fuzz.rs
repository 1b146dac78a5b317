//! Entry points for a fuzzer: whatever a peer sends, nothing panics, hangs or grows past the limits.

use std::task::{Context, Waker};

use bytes::BytesMut;

use crate::Limits;
use crate::channels::{Channels, Format};
use crate::mux::{Farewell, State, Wire};
use crate::spdy::{Headers, Session};
use crate::websocket::Side;

/// Limits that a short input can reach.
fn limits() -> Limits {
    Limits {
        max_streams: 8,
        max_control_bytes: 4096,
        max_header_bytes: 4096,
        max_message_bytes: 1 << 16,
        receive_bytes: 8192,
        window_bytes: 2048,
        send_bytes: 4096,
        ..Limits::default()
    }
}

/// A SPDY server, and a client that has opened two streams, each take `data` from the network in pieces.
pub fn fuzz_spdy(data: &[u8]) {
    peer(Box::new(Session::server(&limits())), &[], 0, data);
    peer(Box::new(Session::client(&limits())), &[], 2, data);
}

/// A WebSocket server with channels, in each format, takes `data` from the network in pieces.
pub fn fuzz_websocket(data: &[u8]) {
    for (base64, half_close) in [(false, true), (false, false), (true, false)] {
        let format = Format { base64, half_close };
        peer(Box::new(Channels::new(Side::Server, format, &limits())), &[0, 1, 2, 3, 4], 0, data);
    }
}

/// One side that opens `opened` streams and then takes `data`; what it does beside depends on the data, too.
fn peer(wire: Box<dyn Wire>, channels: &[u32], opened: usize, data: &[u8]) {
    let limits = limits();
    let mut state = State::new(wire, limits, channels);
    let mut ids = channels.to_vec();
    for _ in 0..opened {
        ids.extend(state.open(&Headers::new(&[("streamtype", "data")])));
    }
    let mut cx = Context::from_waker(Waker::noop());
    let (mut input, mut taken) = (BytesMut::new(), BytesMut::new());
    let pieces = usize::from(data.first().copied().unwrap_or(1)) * 3 + 1;
    for piece in data.chunks(pieces) {
        // As the driver does: read while there is room.
        input.extend_from_slice(piece);
        if let Err(error) = state.receive(&mut input) {
            tracing::trace!(%error, "refused");
            return state.leave(Farewell::Violated);
        }
        assert!(input.len() <= limits.max_control_bytes + 14 + piece.len(), "unread input grows");
        while let std::task::Poll::Ready(Some((id, headers))) = state.poll_incoming(&mut cx) {
            ids.push(id);
            if headers.get("streamtype") != "refuse" {
                state.accept(id);
            } else {
                state.refuse(id);
            }
        }
        ids.drain(..ids.len().saturating_sub(16));
        act(&mut state, &ids, piece, &mut cx);
        if piece.len() % 3 != 1 || !state.hungry() {
            taken.clear();
            state.take_output(&mut taken);
            ids.iter().for_each(|id| drop(state.poll_read(*id, &mut [0; 4096], &mut cx)));
        }
        state.check(&limits);
    }
    state.leave(Farewell::Done);
}

/// What the people who hold the streams do.
fn act(state: &mut State, ids: &[u32], piece: &[u8], cx: &mut Context<'_>) {
    for (id, byte) in ids.iter().zip(piece.iter().rev()) {
        match byte % 8 {
            0 => drop(state.poll_write(*id, &[*byte; 700], cx)),
            1 => drop(state.poll_finish(*id, cx)),
            2 => state.drop_reader(*id),
            3 => state.drop_stream(*id),
            4 => state.drop_writer(*id),
            _ => drop(state.poll_read(*id, &mut [0; 100], cx)),
        }
    }
}

#[cfg(test)]
mod tests {
    use decapod_sys::Env;

    use super::*;
    use crate::spdy::{Encoder, Frame};
    use crate::websocket::Opcode;

    const ROUNDS: u64 = 3000;

    /// A conversation of a client's that does everything once.
    fn spdy_seed() -> BytesMut {
        let (mut encoder, mut out) = (Encoder::default(), BytesMut::new());
        let headers = |kind| Headers::new(&[("streamtype", kind), ("port", "80"), ("requestid", "1")]);
        let frames = [
            Frame::Settings { initial_window: Some(1000) },
            Frame::SynStream { id: 1, finished: false, headers: headers("error") },
            Frame::SynStream { id: 3, finished: false, headers: headers("refuse") },
            Frame::SynReply { id: 2, finished: false },
            Frame::Data { id: 1, bytes: BytesMut::from(&[7; 900][..]), finished: false },
            Frame::Ping { id: 1 },
            Frame::Window { id: 1, delta: 5000 },
            Frame::Headers { id: 1, finished: true },
            Frame::Reset { id: 3, status: 5 },
            Frame::SynStream { id: 5, finished: true, headers: headers("data") },
            Frame::Data { id: 5, bytes: BytesMut::from(&[8; 3000][..]), finished: true },
            Frame::GoAway { last: 0, status: 0 },
        ];
        frames.iter().for_each(|frame| encoder.frame(frame, &mut out).unwrap());
        out
    }

    fn websocket_seed(env: &Env) -> BytesMut {
        let (side, mut out) = (Side::Client(env.clone()), BytesMut::new());
        let long = [b'A'; 2000];
        let messages: [(Opcode, &[u8]); 7] = [
            (Opcode::Binary, b"\x00some input"),
            (Opcode::Text, b"0c29tZSBpbnB1dA=="),
            (Opcode::Ping, b"are you there"),
            (Opcode::Binary, &long),
            (Opcode::Binary, b"\x04{\"Width\":1,\"Height\":2}"),
            (Opcode::Binary, b"\xff\x00"),
            (Opcode::Close, b"\x03\xe8"),
        ];
        messages.iter().for_each(|(opcode, message)| side.write(*opcode, &[message], &mut out));
        out
    }

    /// Some bytes of `seed` changed, moved, cut or doubled.
    fn mutated(seed: &[u8], env: &Env) -> Vec<u8> {
        let mut data = seed.to_vec();
        for _ in 0..1 + env.random_below(6) {
            let at = env.random_below(data.len().max(1) as u64) as usize;
            let end = (at + env.random_below(200) as usize).min(data.len());
            match env.random_below(5) {
                0 => data.truncate(end),
                1 => drop(data.drain(at..end)),
                2 => {
                    let part = data[at..end].to_vec();
                    data.extend(part.repeat(1 + env.random_below(8) as usize));
                }
                _ => {
                    if let Some(byte) = data.get_mut(at) {
                        *byte = env.random_u64() as u8;
                    }
                }
            }
        }
        data
    }

    #[tokio::test(start_paused = true)]
    async fn mutated_conversations_do_no_harm() {
        let env = Env::simulated(42);
        let (spdy, websocket) = (spdy_seed(), websocket_seed(&env));
        fuzz_spdy(&spdy);
        fuzz_websocket(&websocket);
        for _ in 0..ROUNDS {
            fuzz_spdy(&mutated(&spdy, &env));
            fuzz_websocket(&mutated(&websocket, &env));
        }
        for length in 0..200 {
            let mut noise = vec![0; length * 7];
            env.fill(&mut noise);
            fuzz_spdy(&noise);
            fuzz_websocket(&noise);
        }
    }

    #[tokio::test]
    async fn a_flood_that_wants_answers_is_refused() {
        let mut state = State::new(Box::new(Session::server(&limits())), limits(), &[]);
        let (mut encoder, mut pings) = (Encoder::default(), BytesMut::new());
        (0..1000).for_each(|_| encoder.frame(&Frame::Ping { id: 1 }, &mut pings).unwrap());
        let refused = (0..100).find(|_| state.receive(&mut pings.clone()).is_err());
        assert_eq!(refused, Some(5));
    }
}
