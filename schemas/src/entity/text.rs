//! Text of the outside made safe to build keys from.

/// Bound on one normalised value, in bytes; longer ones are cut at a character.
pub const VALUE_BYTES_MAX: usize = 1 << 10;

/// Returns `text` without invisible characters and outer blanks, its control characters replaced, cut to
/// [`VALUE_BYTES_MAX`]; none when nothing is left. Cleaning what is clean changes nothing.
pub(super) fn clean(text: Option<&str>) -> Option<String> {
    let visible: String = text?
        .chars()
        .take(VALUE_BYTES_MAX * 4)
        .filter(|character| !is_invisible(*character))
        .map(|character| {
            if character.is_control() || matches!(character, '\u{2028}' | '\u{2029}') {
                ' '
            } else {
                character
            }
        })
        .collect();
    let value = cut(visible.trim());
    (!value.is_empty()).then_some(value)
}

/// Returns [`clean`] text, none where it is a word for "not known".
pub(super) fn usable(text: Option<&str>) -> Option<String> {
    clean(text).filter(|value| !is_placeholder(value))
}

/// Returns whether a value only says that there is none.
pub(super) fn is_placeholder(value: &str) -> bool {
    const PLACEHOLDERS: [&str; 12] = [
        "-",
        "--",
        "n/a",
        "na",
        "<na>",
        "null",
        "(null)",
        "<null>",
        "none",
        "unknown",
        "undefined",
        "?",
    ];
    PLACEHOLDERS
        .iter()
        .any(|word| word.eq_ignore_ascii_case(value))
}

/// Returns `text` in lower case, still bounded.
pub(super) fn lower(text: &str) -> String {
    cut(&text.to_lowercase())
}

/// Returns `text` in upper case, still bounded.
pub(super) fn upper(text: &str) -> String {
    cut(&text.to_uppercase())
}

/// Returns `text` with the characters that separate the parts of a key written as `%` and two hex digits, so that no
/// value can take the place of two.
pub(super) fn part(text: &str) -> String {
    escape(text, &['%', ':', '\\', '@', '/'])
}

/// Returns a path-like id with only `%` and `:` escaped.
pub(super) fn path_part(text: &str) -> String {
    escape(text, &['%', ':'])
}

/// Returns a GUID as 32 lower-case hex digits with dashes; none for anything else, and for all zeros.
pub(super) fn guid(text: &str) -> Option<String> {
    let digits: String = text
        .trim_matches(|character: char| matches!(character, '{' | '}' | ' '))
        .chars()
        .filter(|character| *character != '-')
        .map(|character| character.to_ascii_lowercase())
        .collect();
    let is_guid = digits.len() == 32
        && digits
            .chars()
            .all(|character| character.is_ascii_hexdigit())
        && digits.chars().any(|character| character != '0');
    if !is_guid {
        return None;
    }
    let mut dashed = String::with_capacity(36);
    for (index, digit) in digits.chars().enumerate() {
        if matches!(index, 8 | 12 | 16 | 20) {
            dashed.push('-');
        }
        dashed.push(digit);
    }
    Some(dashed)
}

/// Cuts at a character to [`VALUE_BYTES_MAX`] and trims what the cut bared.
pub(super) fn cut(text: &str) -> String {
    let mut end = text.len().min(VALUE_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default().trim_end().to_owned()
}

fn escape(text: &str, separators: &[char]) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if separators.contains(&character) {
            escaped.push_str(&format!("%{:02x}", u32::from(character)));
        } else {
            escaped.push(character);
        }
    }
    escaped
}

/// Zero-width and direction marks, which make different names look alike.
fn is_invisible(character: char) -> bool {
    matches!(
        character,
        '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}'
    )
}
