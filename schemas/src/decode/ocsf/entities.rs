//! The entities of a record: of the record itself, its evidences and its resources.

use std::borrow::Cow;

use crate::decode::entities::{Entities, content};
use crate::decode::json::{Node, Object, Unfolded};
use crate::entity::{
    AccountFields, AwsPrincipalFields, Entity, EntityRole, FileFields, HostFields, IpClass,
    MailMessageFields, ProcessFields, account, aws_principal, cloud_resource, container, dns, file,
    host, ip, ip_class, mail_message, mailbox, malware, named, other, process, registry_key,
    registry_value, url,
};

use super::observables;

/// Evidences, resources and other lists: members read from each.
const MEMBERS_MAX: usize = 128;

/// Collects the entities of one record.
#[derive(Debug)]
pub(super) struct Collector<'a> {
    entities: Entities,
    /// What ids of devices are scoped by.
    product: Cow<'a, str>,
    provider: Option<Cow<'a, str>>,
}

/// Where a thing lies: places of the host, and the id of the container.
#[derive(Clone, Debug, Default)]
struct Scope<'a> {
    host: Option<i32>,
    container: Option<Cow<'a, str>>,
}

impl<'a> Collector<'a> {
    /// Returns the entities of a record. Its observables, a summary of them, count only where there is nothing else.
    pub(super) fn collect(record: Object<'a>) -> Vec<Entity> {
        let product = record.find("metadata.product.name").and_then(Node::text);
        let mut collector = Self {
            entities: Entities::default(),
            product: product.unwrap_or(Cow::Borrowed("ocsf")),
            provider: record.find("cloud.provider").and_then(Node::text),
        };
        let scope = collector.add_artifacts(record, &Scope::default());
        let evidences = record.items("evidences").filter_map(Node::object);
        for evidence in evidences.take(MEMBERS_MAX) {
            collector.add_artifacts(evidence, &scope);
        }
        let resources = record.items("resources").chain(record.items("resource"));
        for resource in resources.filter_map(Node::object).take(MEMBERS_MAX) {
            collector.add_resource(resource);
        }
        for entry in record
            .items("vulnerabilities")
            .filter_map(Node::object)
            .take(MEMBERS_MAX)
        {
            let uid = ["cve.uid", "advisory.uid", "cwe.uid"]
                .iter()
                .find_map(|path| entry.find(path)?.text());
            let entity = uid.and_then(|uid| named("vulnerability", &uid, []));
            collector.entities.add(entity, EntityRole::Context, None);
        }
        if !collector.entities.any_key() {
            observables::add(&mut collector.entities, record);
        }
        collector.entities.into_list()
    }

    /// Adds what the record itself and each evidence may hold; returns the scope that its device makes.
    fn add_artifacts(&mut self, object: Object<'a>, outer: &Scope<'a>) -> Scope<'a> {
        let mut scope = outer.clone();
        if let Some(device) = object.object("device") {
            scope.host = self.add_device(device, EntityRole::Target).or(scope.host);
        }
        if let Some(inside) = object.object("container") {
            scope.container = inside.text("uid").or(scope.container);
            self.add_container(inside, &scope);
        }
        if let Some(actor) = object.object("actor") {
            self.add_user(actor.object("user"), EntityRole::Actor, &scope);
            self.add_process(actor.object("process"), EntityRole::Actor, &scope);
        }
        self.add_process(object.object("process"), EntityRole::Unknown, &scope);
        self.add_user(object.object("user"), EntityRole::Target, &scope);
        self.add_file(object.object("file"), &scope);
        for (name, role) in [
            ("src_endpoint", EntityRole::Source),
            ("dst_endpoint", EntityRole::Destination),
        ] {
            if let Some(endpoint) = object.object(name) {
                self.add_endpoint(endpoint, role);
            }
        }
        self.add_names(object);
        self.add_mail(object);
        self.add_registry(object, &scope);
        for name in ["database", "databucket"] {
            let uid = object
                .object(name)
                .and_then(|stored| stored.text("uid").or_else(|| stored.text("name")));
            let resources = uid.map(|uid| cloud_resource(&uid)).unwrap_or_default();
            self.entities.add_all(resources, EntityRole::Target);
        }
        for found in object
            .items("malware")
            .filter_map(Node::object)
            .take(MEMBERS_MAX)
        {
            let entity = found.text("name").and_then(|name| malware(&name, None));
            self.entities.add(entity, EntityRole::Context, None);
        }
        scope
    }

    /// Adds a device: the host, and its address as a part of it.
    fn add_device(&mut self, device: Object<'a>, role: EntityRole) -> Option<i32> {
        let text = |name| device.text(name);
        let (hostname, name, domain) = (text("hostname"), text("name"), text("domain"));
        let (uid, instance, mac) = (text("uid"), text("instance_uid"), text("mac"));
        let dotted = domain.as_deref().is_some_and(|domain| domain.contains('.'));
        // A machine of AWS may have its ARN for an id.
        let uid = uid.as_deref().filter(|uid| !is_sid(uid));
        let ec2 = uid.and_then(|uid| uid.strip_prefix("arn:")?.split_once(":instance/"));
        let uid = uid.filter(|_| ec2.is_none());
        let provider = self.provider.as_deref().unwrap_or(&self.product);
        let fields = HostFields {
            hostname: hostname.as_deref().or(name.as_deref()),
            dns_domain: domain.as_deref().filter(|_| dotted),
            nt_domain: domain.as_deref().filter(|_| !dotted),
            agent: uid.map(|uid| (self.product.as_ref(), uid)),
            instance: ec2
                .map(|(_, id)| ("aws", id))
                .or_else(|| Some((provider, instance.as_deref()?))),
            mac: mac.as_deref(),
            ..HostFields::default()
        };
        let host = self.entities.add(host(&fields), role, None);
        let address = self.entities.add(address(device), role, host);
        let place = host.or(address);
        if let Some(owner) = device.object("owner") {
            let scope = Scope {
                host: place,
                container: None,
            };
            self.add_user(Some(owner), EntityRole::Context, &scope);
        }
        place
    }

    /// Adds an end of a connection: a machine of ours, or an address and a name of the Internet.
    fn add_endpoint(&mut self, endpoint: Object<'a>, role: EntityRole) {
        let found = address(endpoint);
        let class = found.as_ref().and_then(Entity::address).map(ip_class);
        let is_ours = endpoint.has("uid") || endpoint.has("instance_uid");
        let domain = endpoint.text("domain");
        let name = if is_ours || class != Some(IpClass::Global) {
            let machine = self.add_device(endpoint, role);
            domain.filter(|_| machine.is_none())
        } else {
            self.entities.add(found, role, None);
            endpoint.text("hostname").or(domain)
        };
        let name = name.and_then(|name| dns(&name));
        self.entities.add(name, role, None);
    }

    fn add_user(&mut self, user: Option<Object<'a>>, role: EntityRole, scope: &Scope<'a>) {
        let Some(user) = user else { return };
        let (name, domain, uid) = (user.text("name"), user.text("domain"), user.text("uid"));
        let mail = user.text("email_addr");
        let arn = uid.as_deref().filter(|uid| uid.starts_with("arn:"));
        let key = user.text("credential_uid");
        let aws_key = key.as_deref().filter(|key| is_aws_key(key));
        let owner = user
            .object("account")
            .and_then(|account| account.text("uid"));
        let entity = if arn.is_some() || aws_key.is_some() {
            aws_principal(&AwsPrincipalFields {
                arn,
                access_key_id: aws_key,
                account_id: owner.as_deref(),
                user_name: name.as_deref(),
                ..AwsPrincipalFields::default()
            })
        } else {
            let dotted = domain.as_deref().is_some_and(|domain| domain.contains('.'));
            let sid = uid.as_deref().filter(|uid| is_sid(uid));
            account(&AccountFields {
                name: name.as_deref(),
                nt_domain: domain.as_deref().filter(|_| !dotted),
                dns_domain: domain.as_deref().filter(|_| dotted),
                sid,
                // Anything else that is shaped like a GUID; the constructor takes nothing but one.
                object_guid: uid.as_deref().filter(|_| sid.is_none()),
                host: self.entities.at(scope.host),
                ..AccountFields::default()
            })
        };
        let place = self.entities.add(entity, role, scope.host);
        self.entities
            .add(mail.and_then(|mail| mailbox(&mail)), role, place);
    }

    fn add_process(&mut self, running: Option<Object<'a>>, role: EntityRole, scope: &Scope<'a>) {
        let Some(running) = running else { return };
        let image = running.object("file");
        let path = image.and_then(|image| image.text("path").or_else(|| image.text("name")));
        let (pid, line, name) = (
            running.text("pid"),
            running.text("cmd_line"),
            running.text("name"),
        );
        let parent_pid = running.find("parent_process.pid").and_then(Node::text);
        let inside = running
            .object("container")
            .and_then(|inside| inside.text("uid"));
        let entity = process(&ProcessFields {
            pid: pid.as_deref(),
            parent_pid: parent_pid.as_deref(),
            start: super::time(running, "created_time").ok().flatten(),
            command_line: line.as_deref(),
            image: path.as_deref().or(name.as_deref()),
            host: self.entities.at(scope.host),
            container: inside.as_deref().or(scope.container.as_deref()),
        });
        self.entities.add(entity, role, scope.host);
        self.add_file(image, scope);
        self.add_user(running.object("user"), EntityRole::Actor, scope);
    }

    fn add_file(&mut self, stored: Option<Object<'a>>, scope: &Scope<'a>) {
        let Some(stored) = stored else { return };
        let (path, name, directory) = (
            stored.text("path"),
            stored.text("name"),
            stored.text("parent_folder"),
        );
        let hashes: Vec<_> = stored
            .items("hashes")
            .filter_map(Node::object)
            .filter_map(|hash| Some((hash.text("algorithm"), hash.text("value")?)))
            .take(MEMBERS_MAX)
            .collect();
        let hash = content(
            hashes
                .iter()
                .map(|(algorithm, value)| (algorithm.as_deref(), value.as_ref())),
        );
        let entity = file(&FileFields {
            path: path.as_deref(),
            directory: directory.as_deref(),
            name: name.as_deref(),
            hash: hash.as_ref().map(|hash| hash.display.as_str()),
            host: self.entities.at(scope.host),
            container: scope.container.as_deref(),
        });
        let place = self.entities.add(entity, EntityRole::Unknown, scope.host);
        self.entities.add(hash, EntityRole::Unknown, place);
    }

    fn add_container(&mut self, inside: Object<'a>, scope: &Scope<'a>) {
        let name = inside.text("name");
        let entity = inside
            .text("uid")
            .and_then(|uid| container(&uid, name.as_deref()));
        self.entities.add(entity, EntityRole::Unknown, scope.host);
    }

    fn add_names(&mut self, object: Object<'a>) {
        if let Some(address) = object.get("url") {
            let text = match address.object() {
                Some(parts) => parts.text("url_string").or_else(|| parts.text("text")),
                None => address.text(),
            };
            self.entities
                .add(text.and_then(|text| url(&text)), EntityRole::Unknown, None);
        }
        for name in ["query", "dns_query"] {
            for query in object
                .items(name)
                .filter_map(Node::object)
                .take(MEMBERS_MAX)
            {
                let entity = query.text("hostname").and_then(|name| dns(&name));
                self.entities.add(entity, EntityRole::Destination, None);
            }
        }
    }

    fn add_mail(&mut self, object: Object<'a>) {
        let Some(email) = object.object("email") else {
            return;
        };
        let (sender, subject) = (email.text("from"), email.text("subject"));
        let (uid, header) = (email.text("uid"), email.text("message_uid"));
        let recipients: Vec<_> = email.texts("to").take(MEMBERS_MAX).collect();
        let message = mail_message(&MailMessageFields {
            network_message_id: uid.as_deref(),
            internet_message_id: header.as_deref(),
            recipient: recipients.first().map(AsRef::as_ref),
            sender: sender.as_deref(),
            subject: subject.as_deref(),
        });
        let place = self.entities.add(message, EntityRole::Unknown, None);
        let sender = sender.and_then(|sender| mailbox(&sender));
        self.entities.add(sender, EntityRole::Source, place);
        for recipient in recipients {
            self.entities
                .add(mailbox(&recipient), EntityRole::Target, place);
        }
    }

    fn add_registry(&mut self, object: Object<'a>, scope: &Scope<'a>) {
        let on = self.entities.at(scope.host);
        let key = object.object("reg_key").and_then(|key| key.text("path"));
        let key = key.and_then(|path| registry_key(None, &path, on));
        let value = object
            .object("reg_value")
            .and_then(|value| registry_value(None, &value.text("path")?, &value.text("name")?, on));
        for entity in [key, value].into_iter().flatten() {
            self.entities
                .add(Some(entity), EntityRole::Unknown, scope.host);
        }
    }

    /// Adds a resource by its id; one without is recorded by its name and links nothing.
    fn add_resource(&mut self, resource: Object<'a>) {
        let role = match resource.get("role_id").and_then(Node::integer) {
            Some(1 | 3) => EntityRole::Target,
            Some(2) => EntityRole::Actor,
            Some(4) => EntityRole::Context,
            Some(_) | None => EntityRole::Unknown,
        };
        let (uid, name) = (resource.text("uid"), resource.text("name"));
        let place = match uid.as_deref().map(|uid| (uid, uid.strip_prefix(AWS_KEY))) {
            Some((_, Some(key))) => self.add_aws_key(key, resource, role),
            Some((uid, None)) => self.entities.add_all(cloud_resource(uid), role),
            None => {
                let kind = resource
                    .text("type")
                    .unwrap_or(Cow::Borrowed("cloud-resource"));
                let entity = name.and_then(|name| other(&kind, &name));
                // A name alone is unique in no scope that the record tells.
                let entity = entity.map(|entity| Entity {
                    key: None,
                    ..entity
                });
                self.entities.add(entity, role, None)
            }
        };
        let (hostname, address) = (resource.text("hostname"), resource.text("ip"));
        let fields = HostFields {
            hostname: hostname.as_deref(),
            ..HostFields::default()
        };
        self.entities.add(host(&fields), role, place);
        self.entities
            .add(address.and_then(|address| ip(&address, None)), role, place);
        if let Some(owner) = resource.object("owner") {
            self.add_user(Some(owner), EntityRole::Context, &Scope::default());
        }
    }

    /// Adds the principal that an AWS access key belongs to.
    fn add_aws_key(&mut self, key: &str, resource: Object<'a>, role: EntityRole) -> Option<i32> {
        let data = resource.get("data").and_then(|data| data.unfolded().ok());
        let root = data.as_ref().map(Unfolded::root);
        let details = root.and_then(|root| root.object()?.find("AwsIamAccessKey")?.object());
        let text = |name| details.and_then(|details| details.text(name));
        let (id, name) = (text("PrincipalId"), text("PrincipalName"));
        let entity = aws_principal(&AwsPrincipalFields {
            principal_id: id.as_deref(),
            access_key_id: Some(key),
            user_name: name.as_deref(),
            ..AwsPrincipalFields::default()
        });
        self.entities.add(entity, role, None)
    }
}

/// Returns the address of a device or endpoint; none for the one that stands for no address.
fn address(endpoint: Object<'_>) -> Option<Entity> {
    let network = endpoint.text("vpc_uid");
    let found = ip(&endpoint.text("ip")?, network.as_deref())?;
    let unspecified = found.address().is_some_and(|ip| ip.is_unspecified());
    (!unspecified).then_some(found)
}

/// How Security Hub names an access key.
const AWS_KEY: &str = "AWS::IAM::AccessKey:";

fn is_sid(text: &str) -> bool {
    text.get(..4)
        .is_some_and(|start| start.eq_ignore_ascii_case("S-1-"))
}

fn is_aws_key(text: &str) -> bool {
    text.starts_with("AKIA") || text.starts_with("ASIA")
}
