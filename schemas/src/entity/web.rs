//! Names of the Internet: web addresses, domains, mailboxes and messages.

use url::{Host, Url};

use super::host::is_localhost;
use super::ip::{ip, parse_ip};
use super::text::{cut, guid, lower, part, usable};
use super::{Entity, EntityKind};

/// Makes the entity of a web address; none when nothing is left.
///
/// Defanged text (`hxxp`, `[.]`) is read as what it stands for. The key has no fragment, credentials and default port.
/// It is as strong as that of its host: weak for a private address and a single label, none for `localhost`. An address
/// without scheme is weak.
#[must_use]
pub fn url(text: &str) -> Option<Entity> {
    let text = with_scheme(&refanged(&usable(Some(text))?));
    if let Some(canonical) = canonical_url(&text) {
        let mut entity = Entity::new(EntityKind::Url, &canonical).identified("url", &canonical);
        match host_of(&canonical) {
            Some(host) if host.has_strong_key() => entity.add_key(format!("url:{canonical}")),
            Some(host) if host.has_key() => entity.add_weak_key(format!("url:{canonical}")),
            Some(_) | None => {}
        }
        return Some(entity);
    }
    let mut entity = Entity::new(EntityKind::Url, &text).identified("url", &text);
    let domain = text.split(['/', '?', '#']).next().unwrap_or_default();
    if domain.contains('.')
        && let Some(canonical) = canonical_url(&format!("http://{text}"))
        && host_of(&canonical).is_some_and(|host| host.has_key())
    {
        entity.add_weak_key(format!("url:{canonical}"));
    }
    Some(entity)
}

/// Makes the entity of a domain name; none for `localhost` and for what is no name.
///
/// Strong: a name with a dot. Weak: a single label. Reverse lookups get no key; an address gives an `ip` entity.
#[must_use]
pub fn dns(name: &str) -> Option<Entity> {
    let text = refanged(&usable(Some(name))?);
    let text = text.trim_matches('.').trim();
    if parse_ip(text).is_some() {
        return ip(text, None);
    }
    let name = match Host::parse(text).ok()? {
        Host::Domain(name) => cut(name.trim_matches('.')),
        // Numbers that a resolver takes for an address, such as `0x7f.1`.
        Host::Ipv4(address) => return ip(&address.to_string(), None),
        Host::Ipv6(address) => return ip(&address.to_string(), None),
    };
    // Decoding can bare what reads as something else.
    let plain = matches!(Host::parse(&name), Ok(Host::Domain(again)) if again == name);
    if !plain || usable(Some(&name)).is_none() || is_localhost(&name) {
        return None;
    }
    let mut entity = Entity::new(EntityKind::Dns, &name).identified("domain", &name);
    if name.ends_with(".arpa") {
        return Some(entity);
    }
    let key = format!("dns:{}", part(&name));
    if name.contains('.') {
        entity.add_key(key);
    } else {
        entity.add_weak_key(key);
    }
    Some(entity)
}

/// Makes the entity of a mailbox from `alice@contoso.com` or `Alice <alice@contoso.com>`; none when nothing is left.
#[must_use]
pub fn mailbox(address: &str) -> Option<Entity> {
    let text = usable(Some(address))?;
    let address = usable(Some(&mail_address(&text)))?;
    let mut entity = Entity::new(EntityKind::Mailbox, &address).identified("address", &address);
    match address.rsplit_once('@') {
        Some((user, domain)) if !user.is_empty() && !domain.is_empty() => {
            entity.add_key(format!("mailbox:{}@{}", part(user), part(domain)));
        }
        _ => entity.add_weak_key(format!("mailbox:{}", part(&address))),
    }
    Some(entity)
}

/// What a record says of one message. Empty text is as good as none.
#[derive(Clone, Copy, Debug, Default)]
pub struct MailMessageFields<'a> {
    /// Id of the message in the mail system.
    pub network_message_id: Option<&'a str>,
    /// Id in the message's header.
    pub internet_message_id: Option<&'a str>,
    /// Recipient.
    pub recipient: Option<&'a str>,
    /// Sender.
    pub sender: Option<&'a str>,
    /// Subject.
    pub subject: Option<&'a str>,
}

/// Makes the entity of one message; none without any id.
///
/// Strong: id and recipient. Weak: the id alone, which all recipients share.
#[must_use]
pub fn mail_message(fields: &MailMessageFields<'_>) -> Option<Entity> {
    let network =
        usable(fields.network_message_id).map(|id| guid(&id).unwrap_or_else(|| lower(&id)));
    let header = usable(fields.internet_message_id)
        .map(|id| id.trim_matches(['<', '>']).to_owned())
        .filter(|id| !id.is_empty());
    let subject = usable(fields.subject);
    let shown = subject
        .clone()
        .or_else(|| network.clone())
        .or_else(|| header.clone())?;
    let mut entity = Entity::new(EntityKind::MailMessage, &shown);
    let recipient = usable(fields.recipient).map(|text| mail_address(&text));
    for id in [&network, &header].into_iter().flatten() {
        if let Some(recipient) = &recipient {
            entity.add_key(format!("mail-message:{}/{}", part(id), part(recipient)));
        }
        entity.add_weak_key(format!("mail-message:{}", part(id)));
    }
    if !entity.has_key() {
        return None;
    }
    let found = [
        ("network_message_id", network),
        ("internet_message_id", header),
        ("recipient", recipient),
        (
            "sender",
            usable(fields.sender).map(|text| mail_address(&text)),
        ),
        ("subject", subject),
    ];
    for (name, value) in found {
        if let Some(value) = value {
            entity.set(name, &value);
        }
    }
    Some(entity)
}

/// Undoes the ways people make a name safe to paste.
fn refanged(text: &str) -> String {
    const WAYS: [(&str, &str); 6] = [
        ("[.]", "."),
        ("(.)", "."),
        ("[dot]", "."),
        ("[:]", ":"),
        ("[://]", "://"),
        ("[@]", "@"),
    ];
    let mut text = text.to_owned();
    // Each way makes the text shorter, so this ends.
    while let Some((from, to)) = WAYS.iter().find(|(from, _)| text.contains(from)) {
        text = text.replace(from, to);
    }
    text
}

/// Returns an address with the scheme that `hxxp` and its like stand for.
fn with_scheme(text: &str) -> String {
    const SCHEMES: [(&str, &str); 3] = [("hxxp", "http"), ("hxxps", "https"), ("fxp", "ftp")];
    let Some((scheme, rest)) = text.split_once("://") else {
        return text.to_owned();
    };
    let known = SCHEMES
        .iter()
        .find(|(from, _)| scheme.eq_ignore_ascii_case(from));
    known.map_or_else(|| text.to_owned(), |(_, to)| cut(&format!("{to}://{rest}")))
}

/// Returns the one spelling of an absolute address. A cut can bare what has a shorter spelling, so it is read again.
fn canonical_url(text: &str) -> Option<String> {
    let mut canonical = text.to_owned();
    for _ in 0..4 {
        let next = cut(&canonical_url_once(&canonical)?);
        if next == canonical {
            break;
        }
        canonical = next;
    }
    Some(canonical)
}

fn canonical_url_once(text: &str) -> Option<String> {
    let mut url = Url::parse(text).ok()?;
    let host = url.host_str().filter(|host| !host.is_empty())?;
    let bare = host.trim_end_matches('.').to_owned();
    if bare.is_empty() {
        return None;
    }
    if bare.len() != host.len() {
        url.set_host(Some(&bare)).ok()?;
    }
    url.set_fragment(None);
    // These fail only for an address without host, which has been refused.
    url.set_username("").ok()?;
    url.set_password(None).ok()?;
    Some(url.into())
}

/// Returns the entity of the host that an address in its one spelling is on.
fn host_of(canonical: &str) -> Option<Entity> {
    dns(Url::parse(canonical).ok()?.host_str()?)
}

fn mail_address(text: &str) -> String {
    let inside = match text.rsplit_once('<') {
        Some((_, rest)) => rest.split('>').next().unwrap_or(rest),
        None => text,
    };
    let inside = inside.trim();
    let inside = if inside.is_empty() { text } else { inside };
    let address = lower(inside);
    let address = address.trim_start_matches("mailto:").trim();
    if address.is_empty() {
        lower(text)
    } else {
        cut(address)
    }
}
