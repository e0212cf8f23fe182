//! Makes what could deceive a reader visible: controls, direction marks, zero-width and other unseen characters.

use std::fmt::Write;

/// Returns the text with every character that moves the cursor, turns the direction of writing or shows nothing
/// written as `\u{…}`. Line breaks are such characters too.
#[must_use]
pub fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut marks = 0;
    for character in text.chars() {
        marks = if is_mark(character) { marks + 1 } else { 0 };
        if is_hidden(character) || marks > MARKS_MAX {
            shown.extend(character.escape_unicode());
        } else {
            shown.push(character);
        }
    }
    shown
}

/// Returns JSON text with the same characters written as `\uXXXX`: it means the same and is safe on a terminal.
/// Line breaks between values stay.
#[must_use]
pub fn visible_json(json: &str) -> String {
    let mut shown = String::with_capacity(json.len());
    for character in json.chars() {
        if character != '\n' && is_hidden(character) {
            for unit in character.encode_utf16(&mut [0; 2]) {
                // Writing to a string does not fail.
                write!(shown, "\\u{unit:04x}").ok();
            }
        } else {
            shown.push(character);
        }
    }
    shown
}

fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{2000}'..='\u{200f}' | '\u{2028}'..='\u{202f}'
            | '\u{205f}'..='\u{206f}' | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
            | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
            | '\u{e000}'..='\u{f8ff}' | '\u{e0000}'..='\u{10ffff}')
}

/// Marks that stand on the character before them: a heap of them covers the lines around.
fn is_mark(character: char) -> bool {
    matches!(character,
        '\u{300}'..='\u{36f}' | '\u{483}'..='\u{489}' | '\u{610}'..='\u{61a}' | '\u{64b}'..='\u{65f}'
        | '\u{e31}' | '\u{e34}'..='\u{e3a}' | '\u{e47}'..='\u{e4e}' | '\u{1ab0}'..='\u{1aff}'
        | '\u{1dc0}'..='\u{1dff}' | '\u{20d0}'..='\u{20ff}' | '\u{fe20}'..='\u{fe2f}')
}

const MARKS_MAX: u32 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_deceives_is_shown() {
        assert_eq!(visible("CONTOSO\\alice"), "CONTOSO\\alice");
        assert_eq!(visible("Zoë 東京 naïve"), "Zoë 東京 naïve");
        assert_eq!(visible("a\u{1b}[31mb\r\n"), "a\\u{1b}[31mb\\u{d}\\u{a}");
        assert_eq!(
            visible("gpj.\u{202e}exe\u{200b}"),
            "gpj.\\u{202e}exe\\u{200b}"
        );
        assert_eq!(visible("o\u{308}\u{308}\u{308}"), "o\u{308}\u{308}\\u{308}");
        assert_eq!(visible("\u{9b}2J\u{e0041}"), "\\u{9b}2J\\u{e0041}");
    }

    #[test]
    fn json_means_the_same_when_shown() {
        let value = serde_json::json!({"a": "\u{1b}[2J\u{9b}\u{202e}\u{e0041}\\ \u{7f} ü\n"});
        let shown = visible_json(&serde_json::to_string_pretty(&value).unwrap());
        assert!(
            shown
                .chars()
                .all(|character| character == '\n' || !is_hidden(character)),
            "{shown}"
        );
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&shown).unwrap(),
            value
        );
    }
}
