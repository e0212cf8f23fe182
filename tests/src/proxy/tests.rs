use std::{
    io::{ErrorKind, Read, Write},
    net::{TcpListener, TcpStream},
    time::Instant,
};

use super::*;

/// A server that answers every byte with the same byte, and a proxy before it.
fn echo() -> Proxy {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for client in listener.incoming() {
            let mut from = client.unwrap();
            let mut to = from.try_clone().unwrap();
            thread::spawn(move || {
                // A reset ends it like the end of the stream.
                drop(io::copy(&mut from, &mut to));
                drop(to.shutdown(std::net::Shutdown::Write));
            });
        }
    });
    Proxy::start(0, port)
}

fn connect(proxy: &Proxy) -> TcpStream {
    let client = TcpStream::connect((Ipv4Addr::LOCALHOST, proxy.port())).unwrap();
    client.set_read_timeout(Some(LIMIT)).unwrap();
    client
}

fn ask(client: &mut TcpStream, text: &str) -> io::Result<String> {
    client.write_all(text.as_bytes())?;
    hear(client, text.len())
}

fn hear(client: &mut TcpStream, len: usize) -> io::Result<String> {
    let mut answer = vec![0; len];
    client.read_exact(&mut answer)?;
    String::from_utf8(answer).map_err(io::Error::other)
}

/// Whether nothing comes for a while.
fn is_silent(client: &mut TcpStream) -> bool {
    client.set_read_timeout(Some(A_WHILE)).unwrap();
    let heard = client.read(&mut [0]);
    client.set_read_timeout(Some(LIMIT)).unwrap();
    heard.is_err_and(|error| matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut))
}

#[test]
fn a_sound_network_passes_bytes_and_the_end() {
    let proxy = echo();
    let mut client = connect(&proxy);
    let long = "0123456789".repeat(10 * CHUNK / 10);
    let mut writer = client.try_clone().unwrap();
    let sent = long.clone();
    let writing = thread::spawn(move || {
        writer.write_all(sent.as_bytes()).unwrap();
        writer.shutdown(std::net::Shutdown::Write).unwrap();
    });
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    writing.join().unwrap();
    assert!(answer == long, "{} bytes", answer.len());
}

#[test]
fn a_cut_resets_what_is_open_and_what_comes_until_it_is_healed() {
    let proxy = echo();
    let mut before = connect(&proxy);
    assert_eq!(ask(&mut before, "a").unwrap(), "a");
    proxy.set(Fault::Cut, Scope::All);
    let reset = hear(&mut before, 1).unwrap_err();
    assert_eq!(reset.kind(), ErrorKind::ConnectionReset);
    let mut during = connect(&proxy);
    assert!(ask(&mut during, "b").is_err());
    proxy.heal();
    assert_eq!(ask(&mut connect(&proxy), "c").unwrap(), "c");
}

#[test]
fn what_is_sent_into_silence_arrives_when_it_ends() {
    let proxy = echo();
    for (to_broker, to_clients) in [(true, false), (false, true), (true, true)] {
        let mut client = connect(&proxy);
        assert_eq!(ask(&mut client, "a").unwrap(), "a");
        proxy.set(
            Fault::Silent {
                to_broker,
                to_clients,
            },
            Scope::All,
        );
        client.write_all(b"bc").unwrap();
        assert!(is_silent(&mut client));
        proxy.heal();
        assert_eq!(hear(&mut client, 2).unwrap(), "bc");
    }
}

#[test]
fn a_fault_of_open_connections_spares_later_ones() {
    let proxy = echo();
    let mut before = connect(&proxy);
    assert_eq!(ask(&mut before, "a").unwrap(), "a");
    let silent = Fault::Silent {
        to_broker: true,
        to_clients: true,
    };
    proxy.set(silent, Scope::Open);
    before.write_all(b"b").unwrap();
    assert_eq!(ask(&mut connect(&proxy), "c").unwrap(), "c");
    assert!(is_silent(&mut before));
    proxy.heal();
    assert_eq!(hear(&mut before, 1).unwrap(), "b");
}

#[test]
fn slowness_and_delay_take_their_time_in_both_directions() {
    let proxy = echo();
    for fault in [Fault::Slow(40), Fault::Delay(Duration::from_millis(100))] {
        proxy.set(fault, Scope::All);
        let started = Instant::now();
        assert_eq!(ask(&mut connect(&proxy), "abcd").unwrap(), "abcd");
        assert!(started.elapsed() >= Duration::from_millis(200), "{fault:?}");
    }
}

#[test]
fn a_dropped_proxy_closes_its_connections() {
    let proxy = echo();
    let mut client = connect(&proxy);
    assert_eq!(ask(&mut client, "a").unwrap(), "a");
    drop(proxy);
    assert!(ask(&mut client, "b").is_err());
}

const LIMIT: Duration = Duration::from_secs(60);
const A_WHILE: Duration = Duration::from_millis(50);
