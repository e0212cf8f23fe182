//! Who of an event's two addresses attacks, and who is attacked.

use crate::attack::Attack;
use crate::decode::entities::Entities;
use crate::decode::json::{Node, Object};
use crate::decode::words::folded;
use crate::entity::{Entity, EntityRole, IpClass, ip, ip_class};

/// The tactic that makes the other side a command and control server.
const COMMAND_AND_CONTROL: &str = "TA0011";

/// The two ends of an event. `src` and `dest` tell which way one packet went, not who began.
#[derive(Debug)]
pub(super) struct Peers {
    src: Peer,
    dest: Peer,
    victim: Option<End>,
    server: End,
    other_role: EntityRole,
    xff: Option<Entity>,
}

#[derive(Debug)]
struct Peer {
    entity: Option<Entity>,
    port: Option<i64>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum End {
    Src,
    Dest,
}

impl Peers {
    /// Reads the ends of an event and finds out who is who.
    pub(super) fn of(event: Object<'_>, signature: Object<'_>, attacks: &[Attack]) -> Self {
        let src = Peer::of(event, "src_ip", "src_port");
        let dest = Peer::of(event, "dest_ip", "dest_port");
        let server = server(event, &src, &dest);
        let is_c2 = attacks
            .iter()
            .any(|attack| attack.tactic_uid.as_deref() == Some(COMMAND_AND_CONTROL));
        let xff = signature.get("xff").or_else(|| event.find("http.xff"));
        Self {
            victim: victim(signature, &src, &dest, server),
            src,
            dest,
            server,
            other_role: if is_c2 {
                EntityRole::C2
            } else {
                EntityRole::Source
            },
            xff: xff.and_then(Node::text).and_then(|text| address(&text)),
        }
    }

    /// Adds both addresses, and the client that a proxy names.
    pub(super) fn add(&self, entities: &mut Entities) {
        for (peer, end) in [(&self.src, End::Src), (&self.dest, End::Dest)] {
            entities.add(peer.entity.clone(), self.role(end), None);
        }
        entities.add(self.xff.clone(), self.role(self.server.opposite()), None);
    }

    /// Returns the part of the end that the event's names (HTTP host, SNI) belong to.
    pub(super) fn server_role(&self) -> EntityRole {
        self.role(self.server)
    }

    fn role(&self, end: End) -> EntityRole {
        match (self.victim, end) {
            (Some(victim), end) if victim == end => EntityRole::Target,
            (Some(_), End::Src | End::Dest) => self.other_role,
            (None, End::Src) => EntityRole::Source,
            (None, End::Dest) => EntityRole::Destination,
        }
    }
}

impl Peer {
    fn of(event: Object<'_>, ip: &str, port: &str) -> Self {
        Self {
            entity: event.text(ip).and_then(|text| address(&text)),
            port: event.get(port).and_then(Node::integer),
        }
    }

    /// Returns whether the address is one of ours: private, not shared by everyone.
    fn is_internal(&self) -> Option<bool> {
        let address = self.entity.as_ref()?.address()?;
        match ip_class(address) {
            IpClass::Private => Some(true),
            IpClass::Global => Some(false),
            IpClass::Never => None,
        }
    }

    fn is(&self, address: Option<&Entity>) -> bool {
        let own = self.entity.as_ref().and_then(Entity::address);
        own.is_some() && own == address.and_then(Entity::address)
    }
}

impl End {
    const fn opposite(self) -> Self {
        match self {
            Self::Src => Self::Dest,
            Self::Dest => Self::Src,
        }
    }
}

/// Returns the end that was connected to: as the event says, else as its ports suggest.
fn server(event: Object<'_>, src: &Peer, dest: &Peer) -> End {
    let direction = event.text("direction").map(|word| folded(&word));
    match direction.as_deref() {
        Some("toserver") => return End::Dest,
        Some("toclient") => return End::Src,
        Some(_) | None => {}
    }
    // A flow runs from client to server, whichever way the packet went.
    if let Some(flow) = event.object("flow").filter(|flow| flow.has("src_ip")) {
        let client = Peer::of(flow, "src_ip", "src_port");
        let is = |end: &Peer| client.port == end.port && client.is(end.entity.as_ref());
        match (is(src), is(dest)) {
            (true, false) => return End::Dest,
            (false, true) => return End::Src,
            (true, true) | (false, false) => {}
        }
    }
    let well_known = |end: &Peer| end.port.is_some_and(|port| (1..1024).contains(&port));
    let ephemeral = |end: &Peer| end.port.is_some_and(|port| port >= EPHEMERAL_PORT_MIN);
    let serves = |end, other| (well_known(end), ephemeral(other));
    match (serves(src, dest), serves(dest, src)) {
        ((true, _), (false, _)) | ((false, true), (false, false)) => End::Src,
        (_, _) => End::Dest,
    }
}

/// From here on a client's port is more likely than a server's.
const EPHEMERAL_PORT_MIN: i64 = 32_768;

/// Returns the end attacked: as the rule says, else as its author says, else the internal one of the two.
fn victim(signature: Object<'_>, src: &Peer, dest: &Peer, server: End) -> Option<End> {
    let target = signature.find("target.ip").and_then(Node::text);
    let target = target.and_then(|text| address(&text));
    if src.is(target.as_ref()) {
        return Some(End::Src);
    }
    if dest.is(target.as_ref()) {
        return Some(End::Dest);
    }
    let kinds = signature.find("metadata.attack_target");
    let kind = kinds.and_then(|kinds| kinds.items().find_map(Node::text));
    let kind = kind.map(|kind| folded(&kind)).unwrap_or_default();
    match (kind.contains("client"), kind.contains("server")) {
        (true, false) => return Some(server.opposite()),
        (false, true) => return Some(server),
        (true, true) | (false, false) => {}
    }
    match (src.is_internal()?, dest.is_internal()?) {
        (true, false) => Some(End::Src),
        (false, true) => Some(End::Dest),
        (true, true) | (false, false) => None,
    }
}

/// Returns the entity of an address; none for the one that stands for no address.
fn address(text: &str) -> Option<Entity> {
    let entity = ip(text, None)?;
    let unspecified = entity
        .address()
        .is_some_and(|address| address.is_unspecified());
    (!unspecified).then_some(entity)
}
