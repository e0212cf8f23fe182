//! The registry of Windows: keys and values.

use super::file::{scopes, single};
use super::text::{clean, cut, lower, part, path_part, usable};
use super::{Entity, EntityKind};

/// Makes the entity of a registry key from hive and key, or a key that holds its hive; none when nothing is left.
///
/// Strong on a known host, weak without.
#[must_use]
pub fn registry_key(hive: Option<&str>, key: &str, host: Option<&Entity>) -> Option<Entity> {
    let path = registry_path(hive, key)?;
    let mut entity = Entity::new(EntityKind::RegistryKey, &path).identified("registry_key", &path);
    entity.add_host_scoped("registry-key", host, &path_part(&path));
    Some(entity)
}

/// Makes the entity of a value of a registry key; none when the key or the name is missing.
///
/// Strong on a known host, weak without.
#[must_use]
pub fn registry_value(
    hive: Option<&str>,
    key: &str,
    name: &str,
    host: Option<&Entity>,
) -> Option<Entity> {
    let path = registry_path(hive, key)?;
    let name = lower(&clean(Some(name))?);
    let mut entity = Entity::new(EntityKind::RegistryValue, &cut(&format!("{path}\\{name}")))
        .identified("registry_key", &path)
        .identified("name", &name);
    let inside = format!("{}:{}", path_part(&path), part(&name));
    entity.add_host_scoped("registry-value", host, &inside);
    Some(entity)
}

impl Entity {
    fn add_host_scoped(&mut self, namespace: &str, host: Option<&Self>, inside: &str) {
        for scope in scopes(host, None) {
            self.add_key(format!("{namespace}:{scope}:{inside}"));
        }
        if !self.has_strong_key() {
            self.add_weak_key(format!("{namespace}:{inside}"));
        }
    }
}

/// Returns a registry path in lower case from its short hive, with every control set as the current one.
fn registry_path(hive: Option<&str>, key: &str) -> Option<String> {
    const HIVES: [(&str, &str); 12] = [
        ("hkey_local_machine", "hklm"),
        ("hkey_current_user", "hkcu"),
        ("hkey_classes_root", "hkcr"),
        ("hkey_current_config", "hkcc"),
        ("hkey_users", "hku"),
        ("hklm:", "hklm"),
        ("hkcu:", "hkcu"),
        ("hkcr:", "hkcr"),
        ("hku:", "hku"),
        ("registry\\machine", "hklm"),
        ("registry\\user", "hku"),
        ("machine", "hklm"),
    ];
    let key = usable(Some(key))?;
    let joined = match usable(hive) {
        Some(hive) => format!("{hive}\\{key}"),
        None => key,
    };
    let path = single(&lower(&joined).replace('/', "\\"), '\\');
    let outer = |letter: char| letter == '\\' || letter.is_whitespace();
    let path = path.trim_matches(outer);
    let path = path.strip_prefix("computer\\").unwrap_or(path);
    let path = HIVES
        .iter()
        .find_map(|(long, short)| {
            let rest = path.strip_prefix(long)?;
            (rest.is_empty() || rest.starts_with('\\')).then(|| format!("{short}{rest}"))
        })
        .unwrap_or_else(|| path.to_owned());
    let segments: Vec<&str> = path
        .split('\\')
        .map(|segment| match segment.strip_prefix("controlset") {
            Some(number) if number.len() == 3 && number.parse::<u16>().is_ok() => {
                "currentcontrolset"
            }
            _ => segment,
        })
        .collect();
    usable(Some(segments.join("\\").trim_matches(outer)))
}
