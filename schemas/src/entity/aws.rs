//! Principals of AWS: users, roles and the sessions of roles.

use super::text::{part, usable};
use super::{Entity, EntityKind};

/// What an AWS record says of a principal.
#[derive(Clone, Copy, Debug, Default)]
pub struct AwsPrincipalFields<'a> {
    /// ARN of a user, role or session.
    pub arn: Option<&'a str>,
    /// Principal id; what follows its `:` is the session.
    pub principal_id: Option<&'a str>,
    /// Id of the account.
    pub account_id: Option<&'a str>,
    /// Access key id.
    pub access_key_id: Option<&'a str>,
    /// User name.
    pub user_name: Option<&'a str>,
}

/// Makes the `account` entity of an AWS principal; none when nothing is left.
///
/// Sessions of one role are one account: the principal id counts without its session, the ARN of an assumed role as
/// that of the role.
#[must_use]
pub fn aws_principal(fields: &AwsPrincipalFields<'_>) -> Option<Entity> {
    let mut entity = Entity::new(EntityKind::Account, "");
    let user_name = usable(fields.user_name);
    if let Some(id) = usable(fields.principal_id) {
        let id = id.split(':').next().unwrap_or_default();
        if !id.is_empty() {
            entity.add_key(format!("account:aws:{}", part(id)));
            entity.set("principal_id", id);
        }
    }
    let arn = usable(fields.arn);
    let named = arn.as_deref().and_then(aws_name).or_else(|| {
        let user = user_name.as_deref()?;
        Some((usable(fields.account_id)?, format!("user/{user}")))
    });
    if let Some((account_id, name)) = named {
        entity.add_key(format!("account:aws:{}/{}", part(&account_id), part(&name)));
        entity.set("account_id", &account_id);
        entity.display = name;
    }
    if let Some(key) = usable(fields.access_key_id) {
        entity.add_key(format!("account:aws-key:{}", part(&key)));
        entity.set("access_key_id", &key);
    }
    if let Some(user) = user_name {
        entity.set("name", &user);
        entity.display = user;
    }
    if let Some(arn) = arn {
        entity.set("arn", &arn);
    }
    if entity.display.is_empty() {
        entity.display = entity.label();
    }
    let left = entity.has_key() || !entity.identifiers.is_empty();
    left.then_some(entity)
}

/// Returns account id and `user/name` or `role/name` of a principal's ARN, without path and session.
fn aws_name(arn: &str) -> Option<(String, String)> {
    let mut parts = arn.splitn(6, ':');
    if parts.next() != Some("arn") {
        return None;
    }
    let service = parts.nth(1)?;
    let account_id = parts.nth(1)?;
    let resource = parts.next()?;
    if !matches!(service, "iam" | "sts") {
        return None;
    }
    if resource == "root" {
        return Some((account_id.to_owned(), "root".to_owned()));
    }
    let (kind, name) = resource.split_once('/')?;
    let (kind, name) = match kind {
        "assumed-role" => ("role", name.split('/').next()?),
        "user" | "role" => (kind, name.rsplit('/').next()?),
        "federated-user" => ("federated-user", name),
        _ => return None,
    };
    (!account_id.is_empty() && !name.is_empty())
        .then(|| (account_id.to_owned(), format!("{kind}/{name}")))
}
