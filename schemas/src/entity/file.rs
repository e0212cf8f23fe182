//! What lies and runs on a host: files, their content, processes.

use crate::time::Timestamp;

use super::text::{clean, cut, lower, part, path_part, usable};
use super::{Entity, EntityKind};

/// What a record says of a file. Empty text is as good as none.
#[derive(Clone, Copy, Debug, Default)]
pub struct FileFields<'a> {
    /// Full path.
    pub path: Option<&'a str>,
    /// Directory, where the name is given apart.
    pub directory: Option<&'a str>,
    /// Name.
    pub name: Option<&'a str>,
    /// Hash of the content.
    pub hash: Option<&'a str>,
    /// The host the file is on.
    pub host: Option<&'a Entity>,
    /// Id of the container whose file system the path is in.
    pub container: Option<&'a str>,
}

/// Makes the entity of a file by path; none when neither path, name nor hash is left.
///
/// Strong: path, or name and hash, on a known host or container. Weak: path without host, name, content.
/// The content is an entity of its own: see [`filehash`].
#[must_use]
pub fn file(fields: &FileFields<'_>) -> Option<Entity> {
    let path = full_path(fields);
    let name = path
        .as_deref()
        .map(base_name)
        .or(fields.name)
        .or_else(|| fields.path.map(base_name))
        .and_then(|name| usable(Some(name)));
    let hash = usable(fields.hash).and_then(|hash| hash_key(None, &hash));
    let display = path
        .clone()
        .or_else(|| name.clone())
        .or_else(|| hash.clone())?;
    let mut entity = Entity::new(EntityKind::File, &display);
    let inside = match (&path, &hash, &name) {
        (Some(path), ..) => Some(path_part(path)),
        (None, Some(hash), Some(name)) => Some(format!("{hash}/{}", part(&lower(name)))),
        _ => None,
    };
    if let Some(inside) = inside {
        for scope in scopes(fields.host, fields.container) {
            entity.add_key(format!("file:{scope}:{inside}"));
        }
    }
    if let (Some(path), false) = (&path, entity.has_strong_key()) {
        entity.add_weak_key(format!("file:path:{}", path_part(path)));
    }
    if let Some(name) = &name {
        entity.add_weak_key(format!("file:name:{}", part(&lower(name))));
        entity.set("name", name);
    }
    if let Some(hash) = hash {
        entity.set("hash", &hash);
        entity.add_weak_key(hash);
    }
    if let Some(path) = path {
        entity.set("path", &path);
    }
    Some(entity)
}

/// Makes the entity of a file's content; none where the value is no hash.
///
/// The length decides between MD5, SHA-1, SHA-256 and SHA-512; an algorithm that is none of these (`imphash`,
/// `sha256ac`) keeps its own keys. The hash of the empty file and placeholders get no key.
#[must_use]
pub fn filehash(algorithm: Option<&str>, value: &str) -> Option<Entity> {
    let value = usable(Some(value))?;
    let key = hash_key(usable(algorithm).as_deref(), &value);
    let Some(key) = key else {
        // What is shaped like a hash and says nothing is kept to look at.
        let value = lower(&value);
        return by_length(&value).map(|algorithm| {
            Entity::new(EntityKind::FileHash, &value).identified(algorithm, &value)
        });
    };
    let (algorithm, _) = key.rsplit_once(':')?;
    let digest = lower(&value);
    let mut entity = Entity::new(EntityKind::FileHash, &digest).identified(algorithm, &digest);
    entity.add_key(key);
    Some(entity)
}

/// What a record says of a process. Empty text is as good as none.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProcessFields<'a> {
    /// Process id, decimal or `0x` hex.
    pub pid: Option<&'a str>,
    /// Process id of the parent.
    pub parent_pid: Option<&'a str>,
    /// When it started.
    pub start: Option<Timestamp>,
    /// Command line.
    pub command_line: Option<&'a str>,
    /// Path or name of its image.
    pub image: Option<&'a str>,
    /// The host it runs on.
    pub host: Option<&'a Entity>,
    /// Id of the container it runs in.
    pub container: Option<&'a str>,
}

/// Makes the entity of a process; none when neither id, image nor command line is left.
///
/// Process ids are used again: only host, start and id together are a strong key. Weak: the image's name.
#[must_use]
pub fn process(fields: &ProcessFields<'_>) -> Option<Entity> {
    let pid = usable(fields.pid).and_then(|pid| process_id(&pid));
    let parent_pid = usable(fields.parent_pid).and_then(|pid| process_id(&pid));
    let image = usable(fields.image)
        .map(|image| normal_path(&image))
        .filter(|image| !image.is_empty());
    let command_line = clean(fields.command_line);
    let display = image
        .clone()
        .or_else(|| command_line.clone())
        .or_else(|| pid.map(|pid| pid.to_string()))?;
    let mut entity = Entity::new(EntityKind::Process, &display);
    let id = match (pid, parent_pid, fields.start, &command_line) {
        (Some(pid), _, Some(start), _) => Some(format!("{pid}:{}", start.millis())),
        (None, Some(parent), Some(start), Some(line)) => Some(format!(
            "child-of-{parent}:{}:{}",
            start.millis(),
            short_digest(line)
        )),
        _ => None,
    };
    if let Some(id) = id {
        let named = fields.host.filter(|host| !host.has_strong_key());
        let named = named.and_then(|host| host.weak_keys.first().cloned());
        for scope in scopes(fields.host, None).into_iter().chain(named) {
            entity.add_key(format!("process:{scope}:{id}"));
        }
    }
    if let Some(image) = &image {
        let name = lower(base_name(image));
        entity.add_weak_key(format!("process:name:{}", part(&name)));
        entity.set("image", image);
    }
    let numbers = [("pid", pid), ("parent_pid", parent_pid)];
    for (name, number) in numbers {
        if let Some(number) = number {
            entity.set(name, &number.to_string());
        }
    }
    if let Some(start) = fields.start {
        entity.set("start", &start.to_string());
    }
    if let Some(line) = command_line {
        entity.set("command_line", &line);
    }
    if let Some(container) = usable(fields.container) {
        entity.set("container", &container);
    }
    Some(entity)
}

/// Returns the keys under which things inside a host or container are known: at most 4.
pub(super) fn scopes(host: Option<&Entity>, container: Option<&str>) -> Vec<String> {
    if let Some(id) = usable(container) {
        return vec![format!(
            "container:{}",
            part(&super::cloud::container_id(&id))
        )];
    }
    let keys = host.into_iter().flat_map(Entity::strong_keys);
    keys.take(4).map(str::to_owned).collect()
}

fn full_path(fields: &FileFields<'_>) -> Option<String> {
    if let Some(path) = usable(fields.path).filter(|path| path.contains(['/', '\\'])) {
        return Some(normal_path(&path)).filter(|path| path.contains(['/', '\\']));
    }
    let directory = usable(fields.directory)?;
    let name = usable(fields.name.or(fields.path))?;
    let windows = directory.contains('\\') || has_drive(&directory);
    let separator = if windows { '\\' } else { '/' };
    let directory = directory.trim_end_matches(['/', '\\']);
    Some(normal_path(&format!("{directory}{separator}{name}")))
}

/// Returns the one spelling of a path: a Windows path in lower case with its drive, a Unix path as it is.
pub(super) fn normal_path(path: &str) -> String {
    if !path.contains('\\') && !has_drive(path) {
        return cut(&single(path, '/'));
    }
    let mut path = lower(path).replace('/', "\\");
    // What one prefix hides may be another.
    for _ in 0..PREFIXES_MAX {
        let next = windows_path(&path).trim().to_owned();
        if next == path {
            break;
        }
        path = next;
    }
    path
}

const PREFIXES_MAX: usize = 8;

/// Takes one prefix of the object manager off.
fn windows_path(path: &str) -> String {
    let share = path.starts_with("\\\\");
    let path = single(path, '\\');
    let inside = ["\\?\\", "\\.\\", "\\??\\"]
        .iter()
        .find_map(|prefix| path.strip_prefix(prefix));
    if let Some(inside) = inside {
        return match inside.strip_prefix("unc\\") {
            Some(server) => cut(&format!("\\\\{server}")),
            None => cut(inside),
        };
    }
    if share {
        return cut(&format!("\\{path}"));
    }
    cut(&with_drive(&path).unwrap_or(path))
}

/// The system volume has a different number on every machine and is `c:` on nearly all.
fn with_drive(path: &str) -> Option<String> {
    if let Some(rest) = path.strip_prefix("\\device\\harddiskvolume") {
        let (number, rest) = rest.split_once('\\')?;
        let numbered = !number.is_empty() && number.chars().all(|digit| digit.is_ascii_digit());
        return numbered.then(|| format!("c:\\{rest}"));
    }
    let windows = ["\\systemroot\\", "%systemroot%\\", "%windir%\\"];
    let rest = windows.iter().find_map(|root| path.strip_prefix(root))?;
    Some(format!("c:\\windows\\{rest}"))
}

fn has_drive(path: &str) -> bool {
    let mut characters = path.chars();
    let drive = characters.next().is_some_and(|c| c.is_ascii_alphabetic());
    drive && characters.next() == Some(':') && matches!(characters.next(), None | Some('/' | '\\'))
}

/// Returns `path` with runs of `separator` as one.
pub(super) fn single(path: &str, separator: char) -> String {
    let mut result = String::with_capacity(path.len());
    for character in path.chars() {
        if character != separator || !result.ends_with(separator) {
            result.push(character);
        }
    }
    result
}

fn base_name(path: &str) -> &str {
    path.rsplit(['/', '\\'])
        .find(|name| !name.is_empty())
        .unwrap_or(path)
}

fn by_length(digest: &str) -> Option<&'static str> {
    if !digest.chars().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    match digest.len() {
        32 => Some("md5"),
        40 => Some("sha1"),
        64 => Some("sha256"),
        128 => Some("sha512"),
        _ => None,
    }
}

/// Returns `sha256:…` and the like; none for what is no hash or the hash of nothing.
pub(super) fn hash_key(algorithm: Option<&str>, digest: &str) -> Option<String> {
    const EMPTY: [&str; 4] = [
        "d41d8cd98f00b204e9800998ecf8427e",
        "da39a3ee5e6b4b0d3255bfef95601890afd80709",
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e",
    ];
    let digest = lower(digest);
    let algorithm = algorithm.map(|word| lower(word).replace(['-', '_', ' '], ""));
    let usual = algorithm.as_deref().is_none_or(|word| {
        matches!(
            word,
            "md5" | "sha1" | "sha256" | "sha512" | "unknown" | "other"
        )
    });
    if !usual {
        let algorithm = algorithm.unwrap_or_default();
        return Some(format!("hash:{}:{}", part(&algorithm), part(&digest)));
    }
    let algorithm = by_length(&digest)?;
    let first = digest.chars().next();
    let filler = digest.chars().all(|digit| Some(digit) == first);
    (!filler && !EMPTY.contains(&digest.as_str())).then(|| format!("{algorithm}:{digest}"))
}

fn process_id(text: &str) -> Option<u64> {
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

fn short_digest(text: &str) -> String {
    use sha2::Digest as _;
    let digest = sha2::Sha256::digest(text.as_bytes());
    digest
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
