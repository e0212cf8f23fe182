//! A network between clients and one broker that can be made to fail: it cuts, delays, goes silent in one direction, or
//! trickles.
//!
//! A connection that is silent is not lost: as on a real network its bytes arrive once it speaks again, unless an end has
//! given up. Every connection holds at most [`CHUNK`] bytes in each direction.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    sync::{Notify, Semaphore, watch},
    time::timeout,
};

/// What is wrong with the network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    #[default]
    None,
    /// Connections are reset, and new ones as soon as they are made.
    Cut,
    /// Every chunk arrives this much later.
    Delay(Duration),
    /// Nothing passes in the directions named; connections stay open.
    Silent {
        /// What clients send.
        to_broker: bool,
        /// What the broker answers.
        to_clients: bool,
    },
    /// Each connection passes so many bytes a second in each direction.
    Slow(u32),
}

/// Connections a fault is put on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All, those to come too.
    All,
    /// Those that are open now; later ones are well.
    Open,
}

/// A listener whose connections go to one broker. Dropped, it and they are closed.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    network: Arc<Network>,
    thread: Option<JoinHandle<()>>,
}

/// Bytes a connection holds in each direction.
pub const CHUNK: usize = 16 << 10;

/// Connections at once; more wait.
pub const CONNECTIONS_MAX: usize = 512;

#[derive(Debug)]
struct Network {
    state: watch::Sender<State>,
    /// Connections accepted so far.
    accepted: Mutex<u64>,
    closed: Notify,
}

#[derive(Clone, Copy, Debug, Default)]
struct State {
    fault: Fault,
    /// Connections from this number on are well.
    below: u64,
}

#[derive(Clone, Copy)]
enum Direction {
    ToBroker,
    ToClient,
}

impl Proxy {
    /// Listens on `port` of the loopback address and connects to `broker` on it.
    ///
    /// # Panics
    /// When the port is taken.
    pub fn start(port: u16, broker: u16) -> Self {
        let (state, _) = watch::channel(State::default());
        let network = Arc::new(Network {
            state,
            accepted: Mutex::new(0),
            closed: Notify::new(),
        });
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let thread = thread::spawn({
            let network = Arc::clone(&network);
            move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .unwrap();
                runtime.block_on(async {
                    tokio::select! {
                        () = network.closed.notified() => {}
                        result = serve(listener, broker, &network) => result.unwrap(),
                    }
                });
            }
        });
        Self {
            port,
            network,
            thread: Some(thread),
        }
    }

    /// Returns where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Puts a fault on connections in place of the one before.
    pub fn set(&self, fault: Fault, scope: Scope) {
        let accepted = self.network.accepted();
        let below = match scope {
            Scope::All => u64::MAX,
            Scope::Open => *accepted,
        };
        self.network.state.send_replace(State { fault, below });
    }

    /// Takes the fault away.
    pub fn heal(&self) {
        self.set(Fault::None, Scope::All);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.network.closed.notify_one();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
            && !thread::panicking()
        {
            panic!("the proxy failed");
        }
    }
}

impl Network {
    fn accepted(&self) -> std::sync::MutexGuard<'_, u64> {
        self.accepted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Accepts until the runtime ends, and with it every connection.
async fn serve(
    listener: std::net::TcpListener,
    broker: u16,
    network: &Arc<Network>,
) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let place = Arc::clone(&places).acquire_owned().await;
        let (client, _) = listener.accept().await?;
        let number = {
            let mut accepted = network.accepted();
            *accepted += 1;
            *accepted - 1
        };
        let state = network.state.subscribe();
        #[expect(
            clippy::disallowed_methods,
            reason = "the runtime of this proxy ends it"
        )]
        tokio::spawn(async move {
            // A peer that is gone ends the connection and nothing else.
            drop(connection(client, broker, number, state).await);
            drop(place);
        });
    }
}

/// Joins a client to the broker until both ends have closed or the network cuts.
async fn connection(
    mut client: TcpStream,
    broker: u16,
    number: u64,
    mut state: watch::Receiver<State>,
) -> io::Result<()> {
    if fault(&state, number) == Fault::Cut {
        return client.set_zero_linger();
    }
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, broker));
    let mut server = TcpStream::connect(address).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let states = (state.clone(), state.clone());
    let (from_client, to_client) = client.split();
    let (from_broker, to_broker) = server.split();
    let both = async {
        tokio::try_join!(
            pump(
                from_client,
                to_broker,
                number,
                Direction::ToBroker,
                states.0
            ),
            pump(
                from_broker,
                to_client,
                number,
                Direction::ToClient,
                states.1
            ),
        )
    };
    tokio::select! {
        result = both => return result.map(|_| ()),
        () = cut(&mut state, number) => {}
    }
    // A reset instead of an end.
    client.set_zero_linger()?;
    server.set_zero_linger()
}

async fn pump(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    number: u64,
    direction: Direction,
    mut state: watch::Receiver<State>,
) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK];
    loop {
        let len = from.read(&mut chunk).await?;
        pass(len, number, direction, &mut state).await;
        if len == 0 {
            // The other direction may still have something to say.
            return to.shutdown().await;
        }
        to.write_all(&chunk[..len]).await?;
    }
}

/// Returns when `len` bytes may pass.
async fn pass(len: usize, number: u64, direction: Direction, state: &mut watch::Receiver<State>) {
    loop {
        let fault = fault(state, number);
        let wait = match fault {
            Fault::None | Fault::Cut => return,
            Fault::Delay(wait) => wait,
            Fault::Slow(bytes) => {
                let bytes = f64::from(bytes.max(1));
                Duration::from_secs_f64(f64::from(u32::try_from(len).unwrap()) / bytes)
            }
            Fault::Silent {
                to_broker,
                to_clients,
            } => {
                let silent = match direction {
                    Direction::ToBroker => to_broker,
                    Direction::ToClient => to_clients,
                };
                if !silent {
                    return;
                }
                Duration::MAX
            }
        };
        // Another fault, another wait.
        match timeout(wait, state.changed()).await {
            Err(_) | Ok(Err(_)) => return,
            Ok(Ok(())) => {}
        }
    }
}

/// Returns when the connection is to be cut.
async fn cut(state: &mut watch::Receiver<State>, number: u64) {
    let is_cut = |state: &State| number < state.below && state.fault == Fault::Cut;
    if state.wait_for(is_cut).await.is_err() {
        std::future::pending::<()>().await;
    }
}

fn fault(state: &watch::Receiver<State>, number: u64) -> Fault {
    let state = *state.borrow();
    if number < state.below {
        state.fault
    } else {
        Fault::None
    }
}

#[cfg(test)]
mod tests;
