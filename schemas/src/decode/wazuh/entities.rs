//! The entities of a Wazuh alert: the agent's host, and what the decoded event names.

use std::borrow::Cow;

use crate::decode::entities::{Entities, content};
use crate::decode::json::{Node, Object};
use crate::entity::{
    AccountFields, AwsPrincipalFields, Entity, EntityKind, EntityRole, FileFields, HostFields,
    ProcessFields, account, aws_principal, dns, file, host, ip, named, process, registry_key, url,
};

/// The manager's own agent.
const MANAGER: &str = "000";

/// What Windows writes where there is no account.
const NOBODY: &str = "-";

/// Collects the entities of one alert.
#[derive(Debug)]
pub(super) struct Collector {
    pub(super) entities: Entities,
    /// Place of the host that the activity was on.
    host: Option<i32>,
}

/// The names of an account in one kind of event, and its part.
struct Names {
    name: &'static str,
    domain: &'static str,
    sid: &'static str,
    role: EntityRole,
}

impl Collector {
    /// Begins with the agent. It is a sensor where it passes on what another saw, else the machine concerned.
    pub(super) fn new(fields: Object<'_>, is_sensor: bool) -> Self {
        let mut collector = Self {
            entities: Entities::default(),
            host: None,
        };
        let text = |path: &str| fields.find(path).and_then(Node::text);
        let id = text("agent.id");
        let name = text("agent.name");
        let computer = text("data.win.system.computer");
        let forwarded = computer.as_deref().is_some_and(|computer| {
            let own = name.as_deref().unwrap_or_default();
            !short(computer).eq_ignore_ascii_case(short(own))
        });
        let is_manager = id.as_deref() == Some(MANAGER);
        let is_sensor = is_sensor || forwarded || is_manager;
        let role = if is_sensor {
            EntityRole::Observer
        } else {
            EntityRole::Target
        };
        // Agents are numbered by their manager, and by all managers of a cluster together. Clusters that were not
        // named share one name and the first numbers: the agent's own name tells them apart.
        let manager = text("cluster.name").or_else(|| text("manager.name"));
        let scope = [Some(Cow::Borrowed("wazuh")), manager, name.clone()];
        let scope: Vec<_> = scope.into_iter().flatten().collect();
        let vendor = scope.join("@");
        let agent = id.as_deref().filter(|_| !is_manager);
        let agent = host(&HostFields {
            hostname: name.as_deref(),
            fqdn: computer.as_deref().filter(|_| !forwarded),
            agent: agent.map(|id| (vendor.as_str(), id)),
            ..HostFields::default()
        });
        let agent = collector.entities.add(agent, role, None);
        let address = text("agent.ip").and_then(|address| ip(&address, None));
        let address = address.filter(Entity::has_key);
        collector.entities.add(address, role, agent);
        collector.host = agent.filter(|_| !is_sensor);
        let reporter = computer.filter(|_| forwarded);
        let reporter = reporter.or_else(|| text("predecoder.hostname").filter(|_| is_manager));
        if let Some(name) = reporter {
            let place = collector.add_host(Some(name), EntityRole::Target);
            collector.host = place.or(collector.host);
        }
        collector
    }

    /// Adds what the event names; returns all.
    pub(super) fn collect(mut self, fields: Object<'_>) -> Vec<Entity> {
        if let Some(data) = fields.object("data") {
            self.add_data(data);
        }
        if let Some(event) = fields.find("data.win.eventdata").and_then(Node::object) {
            let event_id = fields.find("data.win.system.eventID").and_then(Node::text);
            self.add_windows(event, event_id.as_deref() == Some("1"));
        }
        if let Some(call) = fields.find("data.aws").and_then(Node::object) {
            self.add_aws(call);
        }
        if let Some(change) = fields.object("syscheck") {
            self.add_change(change);
        }
        self.entities.into_list()
    }

    /// The fields that decoders of logs share.
    fn add_data(&mut self, data: Object<'_>) {
        self.add_ip(data.text("srcip"), EntityRole::Source);
        self.add_ip(data.text("dstip"), EntityRole::Destination);
        for (name, role) in [
            ("srcuser", EntityRole::Actor),
            ("dstuser", EntityRole::Target),
        ] {
            let user = data.text(name);
            let fields = AccountFields {
                name: user.as_deref(),
                host: self.entities.at(self.host),
                ..AccountFields::default()
            };
            self.entities.add(account(&fields), role, self.host);
        }
        let address = data.text("url").filter(|url| !url.starts_with('/'));
        let address = address.and_then(|address| url(&address));
        self.entities.add(address, EntityRole::Unknown, None);
        let program = data.find("audit.exe").and_then(Node::text);
        self.add_process(None, program, None, None);
        let cve = data.find("vulnerability.cve").and_then(Node::text);
        let cve = cve.and_then(|cve| named("vulnerability", &cve, []));
        self.entities.add(cve, EntityRole::Context, self.host);
    }

    fn add_windows(&mut self, event: Object<'_>, starts_process: bool) {
        for names in [
            Names {
                name: "targetUserName",
                domain: "targetDomainName",
                sid: "targetUserSid",
                role: EntityRole::Target,
            },
            Names {
                name: "subjectUserName",
                domain: "subjectDomainName",
                sid: "subjectUserSid",
                role: EntityRole::Actor,
            },
            Names {
                name: "user",
                domain: "",
                sid: "",
                role: EntityRole::Actor,
            },
        ] {
            self.add_account(event, &names);
        }
        self.add_ip(event.text("ipAddress"), EntityRole::Source);
        self.add_ip(event.text("sourceIp"), EntityRole::Source);
        self.add_ip(event.text("destinationIp"), EntityRole::Destination);
        self.add_host(event.text("workstationName"), EntityRole::Source);
        let looked_up = event.text("queryName").and_then(|name| dns(&name));
        self.entities.add(looked_up, EntityRole::Destination, None);
        // The time of the event is the start of the process only where the event is that start.
        let start = event.get("utcTime").filter(|_| starts_process);
        let image = event.text("image").or_else(|| event.text("newProcessName"));
        self.add_process(
            event.text("processId"),
            image,
            event.text("commandLine"),
            start,
        );
        self.add_process(
            event.text("parentProcessId"),
            event.text("parentImage"),
            None,
            None,
        );
        let hashes = event.text("hashes").unwrap_or_default();
        let hashes = hashes.split(',').filter_map(|hash| hash.split_once('='));
        let hash = content(hashes.map(|(algorithm, value)| (Some(algorithm), value)));
        self.entities.add(hash, EntityRole::Unknown, None);
        self.add_file(event.text("targetFilename"));
        let key = event.text("targetObject");
        let key = key.and_then(|key| registry_key(None, &key, self.entities.at(self.host)));
        self.entities.add(key, EntityRole::Unknown, self.host);
    }

    fn add_aws(&mut self, call: Object<'_>) {
        let text = |path: &str| call.find(path).and_then(Node::text);
        let (arn, id) = (text("userIdentity.arn"), text("userIdentity.principalId"));
        let (key, owner) = (
            text("userIdentity.accessKeyId"),
            text("userIdentity.accountId"),
        );
        let name = text("userIdentity.userName");
        let principal = aws_principal(&AwsPrincipalFields {
            arn: arn.as_deref(),
            principal_id: id.as_deref(),
            access_key_id: key.as_deref(),
            account_id: owner.as_deref(),
            user_name: name.as_deref(),
        });
        self.entities.add(principal, EntityRole::Actor, None);
        let address = text("sourceIPAddress").or_else(|| text("source_ip_address"));
        self.add_ip(address, EntityRole::Source);
    }

    /// A change that the integrity check found.
    fn add_change(&mut self, change: Object<'_>) {
        let path = change.text("path");
        let is_key = path
            .as_deref()
            .is_some_and(|path| path.starts_with("HKEY_"));
        let place = if is_key {
            let key = path.and_then(|key| registry_key(None, &key, self.entities.at(self.host)));
            self.entities.add(key, EntityRole::Unknown, self.host)
        } else {
            self.add_file(path)
        };
        let hashes = [
            ("sha256", "sha256_after"),
            ("sha1", "sha1_after"),
            ("md5", "md5_after"),
        ];
        let hashes = hashes.map(|(algorithm, name)| (algorithm, change.text(name)));
        let hashes = hashes.iter();
        let hash = content(hashes.filter_map(|(name, hash)| Some((Some(*name), hash.as_deref()?))));
        self.entities.add(hash, EntityRole::Unknown, place);
        let user = change
            .find("audit.login_user.name")
            .or_else(|| change.find("audit.user.name"));
        let user = user.and_then(Node::text);
        let fields = AccountFields {
            name: user.as_deref(),
            host: self.entities.at(self.host),
            ..AccountFields::default()
        };
        self.entities
            .add(account(&fields), EntityRole::Actor, self.host);
        let program = change.find("audit.process.name").and_then(Node::text);
        self.add_process(
            change.find("audit.process.id").and_then(Node::text),
            program,
            None,
            None,
        );
    }

    fn add_account(&mut self, event: Object<'_>, names: &Names) {
        let (name, domain) = (event.text(names.name), event.text(names.domain));
        let sid = event.text(names.sid);
        let dotted = domain.as_deref().is_some_and(|domain| domain.contains('.'));
        let fields = AccountFields {
            name: name.as_deref(),
            nt_domain: domain.as_deref().filter(|_| !dotted),
            dns_domain: domain.as_deref().filter(|_| dotted),
            sid: sid.as_deref(),
            host: self.entities.at(self.host),
            ..AccountFields::default()
        };
        let found = account(&fields).filter(|found| found.display != NOBODY);
        match found {
            // A machine account is the machine, which is here under its agent's names.
            Some(own) if self.is_own_host(&own) => self.entities.absorb(self.host, own),
            found => drop(self.entities.add(found, names.role, self.host)),
        }
    }

    fn is_own_host(&self, found: &Entity) -> bool {
        let own = self.entities.at(self.host);
        let name = found.identifiers.get("hostname");
        found.kind == EntityKind::Host.word()
            && name.is_some()
            && own.is_some_and(|own| own.identifiers.get("hostname") == name)
    }

    fn add_host(&mut self, name: Option<Cow<'_, str>>, role: EntityRole) -> Option<i32> {
        let fields = HostFields {
            hostname: name.as_deref(),
            ..HostFields::default()
        };
        self.entities.add(host(&fields), role, None)
    }

    fn add_ip(&mut self, address: Option<Cow<'_, str>>, role: EntityRole) {
        let address = address.and_then(|address| ip(&address, None));
        self.entities
            .add(address.filter(Entity::has_key), role, None);
    }

    fn add_file(&mut self, path: Option<Cow<'_, str>>) -> Option<i32> {
        let fields = FileFields {
            path: path.as_deref(),
            host: self.entities.at(self.host),
            ..FileFields::default()
        };
        self.entities
            .add(file(&fields), EntityRole::Unknown, self.host)
    }

    fn add_process(
        &mut self,
        pid: Option<Cow<'_, str>>,
        image: Option<Cow<'_, str>>,
        line: Option<Cow<'_, str>>,
        start: Option<Node<'_>>,
    ) {
        let fields = ProcessFields {
            pid: pid.as_deref(),
            start: start.and_then(|start| start.time().ok()),
            command_line: line.as_deref(),
            image: image.as_deref(),
            host: self.entities.at(self.host),
            ..ProcessFields::default()
        };
        // A process id alone names nothing: it is used again.
        let known = image.is_some() || line.is_some();
        let found = process(&fields).filter(|_| known);
        self.entities.add(found, EntityRole::Unknown, self.host);
    }
}

/// Returns a host's name without its domain.
fn short(name: &str) -> &str {
    name.split('.').next().unwrap_or(name)
}
