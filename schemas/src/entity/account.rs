//! Accounts: one person or service under many spellings.

use super::host::{HostFields, host, is_no_domain, netbios};
use super::text::{clean, cut, guid, is_placeholder, lower, part, upper, usable};
use super::{Entity, EntityKind};

/// What a record says of an account. Empty text is as good as none.
#[derive(Clone, Copy, Debug, Default)]
pub struct AccountFields<'a> {
    /// Name; may also hold a UPN, `DOMAIN\name`, `DOMAIN/name` or `.\name`.
    pub name: Option<&'a str>,
    /// `NetBIOS` domain, or the host's name for a local account.
    pub nt_domain: Option<&'a str>,
    /// User principal name.
    pub upn: Option<&'a str>,
    /// Suffix of the UPN, where the name is given apart.
    pub upn_suffix: Option<&'a str>,
    /// DNS domain.
    pub dns_domain: Option<&'a str>,
    /// Windows security identifier.
    pub sid: Option<&'a str>,
    /// Entra object id of the user.
    pub aad_user_id: Option<&'a str>,
    /// Entra tenant id.
    pub aad_tenant_id: Option<&'a str>,
    /// Active Directory object GUID.
    pub object_guid: Option<&'a str>,
    /// Passport unique id.
    pub puid: Option<&'a str>,
    /// The host the account is of or was seen on.
    pub host: Option<&'a Entity>,
}

/// Makes the entity of an account; none when nothing is left.
///
/// Strong: Entra id, SID, UPN, name with NT or DNS domain, local name with a strongly known host, object GUID, PUID.
/// Weak: the bare name. An account that every machine has (`SYSTEM`, `root`, a built-in SID) gets no key, and
/// `ADMINISTRATOR` none by its bare name. A machine account (`WEB01$`) is the host.
#[must_use]
pub fn account(fields: &AccountFields<'_>) -> Option<Entity> {
    let name = Name::of(fields);
    if let Some(machine) = name.text.as_deref().and_then(|text| text.strip_suffix('$')) {
        return machine_account(machine, &name, fields);
    }
    let mut entity = Entity::new(EntityKind::Account, &name.display(fields));
    let generic = name.is_generic() || usable(fields.sid).is_some_and(|sid| is_built_in(&sid));
    add_ids(&mut entity, fields);
    if !generic {
        name.add_keys(&mut entity, fields);
    }
    name.set_identifiers(&mut entity);
    if entity.display.is_empty() {
        entity.display = entity.label();
    }
    // A domain without a name is nobody.
    let built_in = entity.identifiers.contains_key("sid");
    (entity.has_key() || built_in || name.text.is_some()).then_some(entity)
}

#[derive(Default)]
struct Name {
    text: Option<String>,
    nt_domain: Option<String>,
    dns_domain: Option<String>,
    /// What stands before the `@` of the UPN, where that need not be the name.
    upn_prefix: Option<String>,
    upn_suffix: Option<String>,
    local: bool,
}

impl Name {
    fn of(fields: &AccountFields<'_>) -> Self {
        let mut name = Self {
            nt_domain: usable(fields.nt_domain).map(|domain| upper(&domain)),
            dns_domain: usable(fields.dns_domain).and_then(|domain| domain_of(&domain)),
            upn_suffix: usable(fields.upn_suffix).and_then(|domain| domain_of(&domain)),
            ..Self::default()
        };
        let text = clean(fields.name).or_else(|| usable(fields.upn));
        if let Some(text) = text {
            name.split(&text);
        }
        if let Some((prefix, suffix)) = usable(fields.upn)
            .as_deref()
            .and_then(|upn| upn.rsplit_once('@'))
        {
            name.upn_prefix = Some(lower(prefix.trim())).filter(|prefix| !prefix.is_empty());
            name.upn_suffix = domain_of(suffix).or(name.upn_suffix);
        }
        name.sort_domain(fields.host);
        name
    }

    fn split(&mut self, text: &str) {
        let (domain, rest) = match split_domain(text) {
            Some((domain, rest)) if !is_placeholder(text) => (Some(domain), rest),
            Some(_) | None => (None, text),
        };
        if let Some(domain) = domain.filter(|domain| !domain.is_empty()) {
            self.nt_domain.get_or_insert_with(|| upper(domain));
        }
        let rest = match rest.rsplit_once('@') {
            Some((prefix, suffix)) if !prefix.is_empty() => {
                self.upn_suffix = domain_of(suffix).or_else(|| self.upn_suffix.take());
                prefix
            }
            _ => rest,
        };
        let rest = lower(rest.trim());
        self.text = (!rest.is_empty()).then_some(rest);
    }

    /// Decides what the NT domain really is: a domain, a DNS name, the host itself, or nothing.
    fn sort_domain(&mut self, host: Option<&Entity>) {
        let Some(domain) = self.nt_domain.take() else {
            return;
        };
        let own = host
            .and_then(|host| host.identifiers.get("hostname"))
            .is_some_and(|hostname| netbios(hostname) == netbios(&domain));
        if own || domain == "." {
            self.local = true;
        } else if domain.contains('.') {
            let dns = domain_of(&domain);
            self.dns_domain = self.dns_domain.take().or(dns);
        } else {
            self.nt_domain = Some(domain);
        }
    }

    fn is_generic(&self) -> bool {
        let built_in_domain = self.nt_domain.as_deref().is_some_and(is_machine_domain);
        built_in_domain || self.text.as_deref().is_some_and(is_everywhere)
    }

    fn add_keys(&self, entity: &mut Entity, fields: &AccountFields<'_>) {
        let Some(name) = self.text.as_deref() else {
            return;
        };
        if let Some(suffix) = &self.upn_suffix {
            let name = self.upn_prefix.as_deref().unwrap_or(name);
            entity.add_key(format!("account:upn:{}@{}", part(name), part(suffix)));
            if let Some((guest, home)) = guest_home(name) {
                entity.add_key(format!("account:upn:{}@{}", part(guest), part(home)));
            }
        }
        let nt_domain = self.nt_domain.as_deref();
        if let Some(domain) = nt_domain.filter(|domain| !is_no_domain(domain)) {
            entity.add_key(format!("account:nt:{}\\{}", part(domain), part(name)));
        }
        if let Some(domain) = &self.dns_domain {
            entity.add_key(format!("account:dns:{}\\{}", part(domain), part(name)));
        }
        if self.local
            && let Some(host_key) = fields.host.and_then(|host| host.key.as_deref())
        {
            entity.add_key(format!("account:local:{host_key}\\{}", part(name)));
        }
        if !is_generic_bare(name) {
            entity.add_weak_key(format!("account:name:{}", part(name)));
        }
    }

    fn set_identifiers(&self, entity: &mut Entity) {
        let found = [
            ("name", &self.text),
            ("nt_domain", &self.nt_domain),
            ("dns_domain", &self.dns_domain),
            ("upn_prefix", &self.upn_prefix),
            ("upn_suffix", &self.upn_suffix),
        ];
        for (name, value) in found {
            if let Some(value) = value {
                entity.set(name, value);
            }
        }
    }

    fn display(&self, fields: &AccountFields<'_>) -> String {
        let name = self.text.as_deref();
        let shown = match (name, &self.upn_suffix, &self.nt_domain) {
            (Some(name), Some(suffix), _) => {
                let name = self.upn_prefix.as_deref().unwrap_or(name);
                Some(format!("{name}@{suffix}"))
            }
            (Some(name), None, Some(domain)) => Some(format!("{domain}\\{name}")),
            (Some(name), None, None) => Some(name.to_owned()),
            (None, ..) => None,
        };
        let ids = [
            fields.sid,
            fields.aad_user_id,
            fields.object_guid,
            fields.puid,
        ];
        shown
            .or_else(|| ids.into_iter().find_map(usable))
            .map(|text| cut(&text))
            .unwrap_or_default()
    }
}

fn add_ids(entity: &mut Entity, fields: &AccountFields<'_>) {
    // An object id is unique in all tenants, so mentions with and without the tenant's id meet.
    if let Some(id) = usable(fields.aad_user_id).and_then(|id| guid(&id)) {
        entity.add_key(format!("account:aad:{id}"));
        entity.set("aad_user_id", &id);
    }
    if let Some(id) = usable(fields.aad_tenant_id).and_then(|id| guid(&id)) {
        entity.set("aad_tenant_id", &id);
    }
    add_sid(entity, fields.sid);
    if let Some(id) = usable(fields.object_guid).and_then(|id| guid(&id)) {
        entity.add_key(format!("account:guid:{id}"));
        entity.set("object_guid", &id);
    }
    if let Some(id) = usable(fields.puid) {
        let id = upper(&id);
        entity.add_key(format!("account:puid:{}", part(&id)));
        entity.set("puid", &id);
    }
}

fn add_sid(entity: &mut Entity, sid: Option<&str>) {
    let Some(sid) = usable(sid).map(|sid| upper(&sid)) else {
        return;
    };
    if !is_sid(&sid) {
        return;
    }
    if !is_built_in(&sid) {
        entity.add_key(format!("account:sid:{sid}"));
    }
    entity.set("sid", &sid);
}

fn machine_account(machine: &str, name: &Name, fields: &AccountFields<'_>) -> Option<Entity> {
    let mut entity = host(&HostFields {
        hostname: Some(machine),
        nt_domain: name.nt_domain.as_deref(),
        dns_domain: name.dns_domain.as_deref(),
        ..HostFields::default()
    })?;
    add_sid(&mut entity, fields.sid);
    Some(entity)
}

/// Splits `DOM\a` and `DOM/a`; a service principal such as `host/web01` is no domain.
fn split_domain(text: &str) -> Option<(&str, &str)> {
    const SERVICES: [&str; 8] = [
        "host", "http", "https", "cifs", "ldap", "krbtgt", "mssqlsvc", "termsrv",
    ];
    if let Some((domain, name)) = text.split_once('\\') {
        return Some((domain.trim(), name.trim_start_matches('\\')));
    }
    let (domain, name) = text.split_once('/')?;
    let is_domain = !name.contains('/')
        && !domain.is_empty()
        && !name.is_empty()
        && !SERVICES
            .iter()
            .any(|service| service.eq_ignore_ascii_case(domain));
    is_domain.then_some((domain.trim(), name))
}

fn domain_of(text: &str) -> Option<String> {
    let domain = lower(text.trim_matches(|c: char| c == '.' || c == '@' || c.is_whitespace()));
    (!domain.is_empty() && !is_placeholder(&domain)).then_some(domain)
}

/// Returns name and domain at home of an Entra guest: `alice_fabrikam.com#ext#` is `alice@fabrikam.com`.
fn guest_home(name: &str) -> Option<(&str, &str)> {
    let (user, domain) = name.strip_suffix("#ext#")?.rsplit_once('_')?;
    (!user.is_empty() && domain.contains('.')).then_some((user, domain))
}

pub(super) fn is_sid(text: &str) -> bool {
    text.strip_prefix("S-1-").is_some_and(|rest| {
        !rest.is_empty()
            && rest.split('-').all(|number| {
                !number.is_empty() && number.chars().all(|digit| digit.is_ascii_digit())
            })
    })
}

/// Returns whether a SID is one that every Windows has: all but those of domains, machines and Entra.
fn is_built_in(sid: &str) -> bool {
    let sid = upper(sid);
    is_sid(&sid) && !sid.starts_with("S-1-5-21-") && !sid.starts_with("S-1-12-1-")
}

/// Returns whether an NT domain holds only accounts that every machine has.
fn is_machine_domain(domain: &str) -> bool {
    const DOMAINS: [&str; 9] = [
        "NT AUTHORITY",
        "NT-AUTORITÄT",
        "AUTORITE NT",
        "NT SERVICE",
        "NT VIRTUAL MACHINE",
        "BUILTIN",
        "IIS APPPOOL",
        "WINDOW MANAGER",
        "FONT DRIVER HOST",
    ];
    DOMAINS.contains(&domain)
}

/// Returns whether an account of this name exists on every machine, whatever domain it is given with.
fn is_everywhere(name: &str) -> bool {
    const NAMES: [&str; 18] = [
        "system",
        "root",
        "anonymous",
        "anonymous logon",
        "authenticated user",
        "authenticated users",
        "everyone",
        "network",
        "null",
        "local system",
        "localsystem",
        "local service",
        "localservice",
        "network service",
        "networkservice",
        "nobody",
        "iusr",
        "système",
    ];
    let numbered = ["dwm-", "umfd-"].iter().any(|prefix| {
        name.strip_prefix(prefix)
            .is_some_and(|number| number.chars().all(|digit| digit.is_ascii_digit()))
    });
    numbered || NAMES.contains(&name) || is_placeholder(name)
}

/// Returns whether a bare name says nothing of who it is.
fn is_generic_bare(name: &str) -> bool {
    matches!(name, "admin" | "administrator" | "guest" | "user" | "test")
}
