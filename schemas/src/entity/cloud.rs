//! What a cloud provider names: resources, applications, containers, cluster objects, devices, groups.

use super::account::is_sid;
use super::aws::{AwsPrincipalFields, aws_principal};
use super::host::{HostFields, host};
use super::text::{guid, lower, part, path_part, upper, usable};
use super::{Entity, EntityKind};

/// Makes the entities of a cloud resource's id: the resource, then what it is a part of, if anything.
///
/// An Azure id is the same in any case; that of a machine gives the `host`, one of `Microsoft.Security` (an alert, an
/// assessment) what it hangs on. An ARN keeps its case; that of a principal gives the `account`, that of an EC2
/// instance the `host`. Subscriptions and resource groups are weak, as is an id of no known shape.
#[must_use]
pub fn cloud_resource(id: &str) -> Vec<Entity> {
    let Some(id) = usable(Some(id)) else {
        return Vec::new();
    };
    if looks_like_arm(&id) {
        return arm_entities(&id);
    }
    if id.starts_with("arn:") {
        return arn_entities(&id);
    }
    let mut entity = Entity::new(EntityKind::CloudResource, &id).identified("resource_id", &id);
    if let Some(name) = id
        .strip_prefix("//")
        .filter(|name| name.contains(".googleapis.com/"))
    {
        entity.add_key(format!("gcp:{name}"));
    } else {
        entity.add_weak_key(format!("cloud-resource:{}", part(&id)));
    }
    vec![entity]
}

/// Returns an Azure resource id in its one spelling; none where it is no such id, or a placeholder.
pub(super) fn arm_id(text: &str) -> Option<String> {
    let text = lower(text);
    let text = text
        .strip_prefix("https://management.azure.com")
        .unwrap_or(&text);
    let segments = text.split('/').map(str::trim);
    let segments: Vec<&str> = segments.filter(|part| !part.is_empty()).collect();
    let subscription = match segments.as_slice() {
        ["subscriptions", subscription, ..] => *subscription,
        _ => return None,
    };
    let placeholder = subscription.contains(['{', '<'])
        || subscription
            .chars()
            .all(|character| matches!(character, '0' | '-'));
    (!placeholder).then(|| format!("/{}", segments.join("/")))
}

/// What a record says of a cloud application. Empty text is as good as none.
#[derive(Clone, Copy, Debug, Default)]
pub struct CloudApplicationFields<'a> {
    /// Id of the application (`AppId`, `SaasId`).
    pub app_id: Option<&'a str>,
    /// Name.
    pub name: Option<&'a str>,
    /// Name of the instance, where there are several.
    pub instance: Option<&'a str>,
}

/// Makes the entity of a cloud application; none without id and name. Both are strong.
#[must_use]
pub fn cloud_application(fields: &CloudApplicationFields<'_>) -> Option<Entity> {
    let mut entity = Entity::new(EntityKind::CloudApplication, "");
    let instance = usable(fields.instance).map(|instance| lower(&instance));
    let suffix = instance
        .as_deref()
        .map(|instance| format!("/{}", part(instance)))
        .unwrap_or_default();
    if let Some(id) = usable(fields.app_id).filter(|id| id != "0") {
        let id = guid(&id).unwrap_or_else(|| lower(&id));
        entity.add_key(format!("cloud-application:{}{suffix}", part(&id)));
        entity.set("app_id", &id);
        entity.display = id;
    }
    if let Some(name) = usable(fields.name) {
        let folded = lower(&name);
        entity.add_key(format!("cloud-application:name:{}{suffix}", part(&folded)));
        entity.set("name", &folded);
        entity.display = name;
    }
    if let Some(instance) = instance {
        entity.set("instance", &instance);
    }
    entity.has_key().then_some(entity)
}

/// What a record says of a group. Empty text is as good as none.
#[derive(Clone, Copy, Debug, Default)]
pub struct SecurityGroupFields<'a> {
    /// Distinguished name.
    pub distinguished_name: Option<&'a str>,
    /// Windows security identifier.
    pub sid: Option<&'a str>,
    /// Object GUID.
    pub object_guid: Option<&'a str>,
    /// Name.
    pub name: Option<&'a str>,
}

/// Makes the entity of a group; none when nothing is left. The name is weak, all else strong.
#[must_use]
pub fn security_group(fields: &SecurityGroupFields<'_>) -> Option<Entity> {
    let mut entity = Entity::new(EntityKind::SecurityGroup, "");
    if let Some(sid) = usable(fields.sid)
        .map(|sid| upper(&sid))
        .filter(|sid| is_sid(sid))
    {
        entity.set("sid", &sid);
        entity.add_key(format!("security-group:sid:{sid}"));
        entity.display = sid;
    }
    if let Some(id) = usable(fields.object_guid).and_then(|id| guid(&id)) {
        entity.add_key(format!("security-group:guid:{id}"));
        entity.set("object_guid", &id);
    }
    if let Some(name) = usable(fields.distinguished_name).map(|name| lower(&name)) {
        entity.add_key(format!("security-group:dn:{}", part(&name)));
        entity.set("distinguished_name", &name);
        entity.display = name;
    }
    if let Some(name) = usable(fields.name).map(|name| lower(&name)) {
        entity.add_weak_key(format!("security-group:name:{}", part(&name)));
        entity.set("name", &name);
        entity.display = name;
    }
    if entity.display.is_empty() {
        entity.display = entity.label();
    }
    entity.has_key().then_some(entity)
}

/// Makes the entity of a malware family; none when the name is missing. It is weak: many attacks use one family.
#[must_use]
pub fn malware(name: &str, category: Option<&str>) -> Option<Entity> {
    let name = usable(Some(name))?;
    let folded = lower(&name);
    let mut entity = Entity::new(EntityKind::Malware, &name).identified("name", &folded);
    match usable(category).map(|category| lower(&category)) {
        Some(category) => {
            entity.add_weak_key(format!("malware:{}/{}", part(&category), part(&folded)));
            entity.set("category", &category);
        }
        None => entity.add_weak_key(format!("malware:{}", part(&folded))),
    }
    Some(entity)
}

/// Makes the entity of an `IoT` device; none without an id. Strong with its hub, weak without.
#[must_use]
pub fn iot_device(hub: Option<&str>, device_id: &str) -> Option<Entity> {
    let id = usable(Some(device_id))?;
    let mut entity = Entity::new(EntityKind::IotDevice, &id).identified("device_id", &id);
    if let Some(hub) = usable(hub) {
        let hub = arm_id(&hub).unwrap_or_else(|| lower(&hub));
        entity.add_key(format!("iot-device:{}/{}", path_part(&hub), part(&id)));
        entity.set("hub", &hub);
    }
    entity.add_weak_key(format!("iot-device:{}", part(&id)));
    Some(entity)
}

/// Makes the entity of a container from its id, long or short, with or without `docker://`; none without an id.
#[must_use]
pub fn container(id: &str, name: Option<&str>) -> Option<Entity> {
    let id = container_id(&usable(Some(id)).filter(|id| id != "host")?);
    let name = usable(name);
    let shown = name.clone().unwrap_or_else(|| id.clone());
    let mut entity = Entity::new(EntityKind::Container, &shown).identified("container_id", &id);
    entity.add_key(format!("container:{}", part(&id)));
    if let Some(name) = name {
        entity.set("name", &name);
    }
    Some(entity)
}

/// Returns a container's id as its first 12 hex digits, which is what short and long ids share.
pub(super) fn container_id(id: &str) -> String {
    let bare = id.split_once("://").map_or(id, |(_, bare)| bare);
    let hex = bare.len() >= 12 && bare.chars().all(|digit| digit.is_ascii_hexdigit());
    if hex {
        bare.chars()
            .take(12)
            .map(|digit| digit.to_ascii_lowercase())
            .collect()
    } else if bare.is_empty() {
        id.to_owned()
    } else {
        bare.to_owned()
    }
}

/// What a record says of a Kubernetes object. Empty text is as good as none.
#[derive(Clone, Copy, Debug, Default)]
pub struct K8sObjectFields<'a> {
    /// Cluster, by name or cloud id.
    pub cluster: Option<&'a str>,
    /// Namespace; none for objects of the whole cluster.
    pub namespace: Option<&'a str>,
    /// Kind such as `pod`.
    pub kind: Option<&'a str>,
    /// Name.
    pub name: Option<&'a str>,
}

/// Makes the entity of a Kubernetes object; none without a name. Strong with its cluster, weak without.
#[must_use]
pub fn k8s_object(fields: &K8sObjectFields<'_>) -> Option<Entity> {
    let name = usable(fields.name)?;
    let namespace = usable(fields.namespace).unwrap_or_default();
    let kind = usable(fields.kind).map_or_else(|| "object".to_owned(), |kind| lower(&kind));
    let shown = if namespace.is_empty() {
        format!("{kind}/{name}")
    } else {
        format!("{namespace}/{kind}/{name}")
    };
    let mut entity = Entity::new(EntityKind::K8sObject, &shown)
        .identified("kind", &kind)
        .identified("name", &name);
    let inside = format!("{}/{}/{}", part(&namespace), part(&kind), part(&name));
    if let Some(cluster) = usable(fields.cluster) {
        let cluster = arm_id(&cluster).unwrap_or(cluster);
        entity.add_key(format!("k8s-object:{}/{inside}", path_part(&cluster)));
        entity.set("cluster", &cluster);
    } else {
        entity.add_weak_key(format!("k8s-object:{inside}"));
    }
    if !namespace.is_empty() {
        entity.set("namespace", &namespace);
    }
    Some(entity)
}

fn looks_like_arm(id: &str) -> bool {
    let id = lower(id);
    let id = id
        .strip_prefix("https://management.azure.com")
        .unwrap_or(&id);
    id.trim_start_matches('/').starts_with("subscriptions/")
}

fn arm_entities(id: &str) -> Vec<Entity> {
    let Some(id) = arm_id(id) else {
        return Vec::new();
    };
    // What the security provider keeps about a resource is not the thing attacked.
    let id = match id.split_once("/providers/microsoft.security/") {
        Some((resource, _)) if resource.contains("/providers/") => resource.to_owned(),
        Some(_) => return Vec::new(),
        None => id,
    };
    let parent = arm_parent(&id);
    [Some(id), parent]
        .into_iter()
        .flatten()
        .filter_map(|id| arm_entity(&id))
        .collect()
}

fn arm_entity(id: &str) -> Option<Entity> {
    if is_machine(id) {
        return host(&HostFields {
            azure_id: Some(id),
            ..HostFields::default()
        });
    }
    let name = id.rsplit('/').next().unwrap_or(id);
    let mut entity = Entity::new(EntityKind::CloudResource, name).identified("resource_id", id);
    let key = format!("arm:{id}");
    if id.contains("/providers/") {
        entity.add_key(key);
    } else {
        entity.add_weak_key(key);
    }
    Some(entity)
}

/// Returns the segments after the last `providers`: namespace, then pairs of type and name.
fn arm_types(id: &str) -> Option<(&str, Vec<&str>)> {
    let (_, resource) = id.rsplit_once("/providers/")?;
    let mut segments = resource.split('/');
    Some((segments.next()?, segments.collect()))
}

fn is_machine(id: &str) -> bool {
    let Some((namespace, types)) = arm_types(id) else {
        return false;
    };
    match namespace {
        "microsoft.compute" => matches!(
            types.as_slice(),
            ["virtualmachines", _] | ["virtualmachinescalesets", _, "virtualmachines", _]
        ),
        "microsoft.classiccompute" => matches!(types.as_slice(), ["virtualmachines", _]),
        "microsoft.hybridcompute" => matches!(types.as_slice(), ["machines", _]),
        _ => false,
    }
}

/// Returns the top resource that a child resource or an extension of a resource belongs to.
fn arm_parent(id: &str) -> Option<String> {
    let (before, _) = id.rsplit_once("/providers/")?;
    let (namespace, types) = arm_types(id)?;
    match types.as_slice() {
        [kind, name, _, ..] => Some(format!("{before}/providers/{namespace}/{kind}/{name}")),
        _ if before.contains("/providers/") => Some(before.to_owned()),
        _ => None,
    }
}

fn arn_entities(arn: &str) -> Vec<Entity> {
    let fields: Vec<&str> = arn.splitn(6, ':').collect();
    let [_, _, service, _, _, resource] = fields.as_slice() else {
        return Vec::new();
    };
    if matches!(*service, "iam" | "sts") {
        let principal = aws_principal(&AwsPrincipalFields {
            arn: Some(arn),
            ..AwsPrincipalFields::default()
        });
        if let Some(principal) = principal.filter(Entity::has_key) {
            return vec![principal];
        }
    }
    if let ("ec2", Some(instance)) = (*service, resource.strip_prefix("instance/")) {
        let machine = host(&HostFields {
            instance: Some(("aws", instance)),
            ..HostFields::default()
        });
        return machine.into_iter().collect();
    }
    let bucket = match (*service, resource.split_once('/')) {
        ("s3", Some((bucket, _))) => arn
            .strip_suffix(resource)
            .map(|rest| format!("{rest}{bucket}")),
        _ => None,
    };
    [Some(arn.to_owned()), bucket]
        .into_iter()
        .flatten()
        .map(|arn| arn_entity(&arn))
        .collect()
}

fn arn_entity(arn: &str) -> Entity {
    let mut entity = Entity::new(EntityKind::CloudResource, arn).identified("resource_id", arn);
    entity.add_key(arn.to_owned());
    entity
}
