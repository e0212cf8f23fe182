//! What is wrong with a configuration, and where.

use std::fmt;
use std::path::{Path, PathBuf};

use super::tree::{Origin, Place};

/// All that is wrong with a configuration, in the order of the file.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{}", Joined(.0))]
pub struct Mistakes(pub Vec<Mistake>);

/// One thing that is wrong, or worth a warning.
#[derive(Clone, Debug)]
pub struct Mistake {
    pub(super) message: String,
    pub(super) help: Option<String>,
    pub(super) source: Source,
}

/// Where a mistake was made.
#[derive(Clone, Debug)]
pub(super) enum Source {
    /// In the configuration as a whole.
    Nowhere,
    /// In the file: the place, and its line without the end.
    File {
        path: PathBuf,
        place: Place,
        line: String,
    },
    /// In an environment variable.
    Env(String),
    /// In a flag.
    Flag(String),
}

impl Mistake {
    pub(super) fn new(message: impl Into<String>, source: Source) -> Self {
        Self {
            message: message.into(),
            help: None,
            source,
        }
    }

    /// Returns what is wrong, lower case, without the place.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Returns line and column, from 1, where the mistake was made in the file.
    #[must_use]
    pub const fn position(&self) -> Option<(u64, u64)> {
        match &self.source {
            Source::File { place, .. } => Some((place.line, place.column)),
            Source::Nowhere | Source::Env(_) | Source::Flag(_) => None,
        }
    }
}

impl Source {
    pub(super) fn of(origin: &Origin, file: Option<(&Path, &str)>) -> Self {
        match origin {
            Origin::Env(name) => Self::Env(name.clone()),
            Origin::Flag(name) => Self::Flag(name.clone()),
            Origin::File(place) => match file {
                Some((path, text)) if place.line > 0 => {
                    let index = usize::try_from(place.line - 1).unwrap_or(usize::MAX);
                    Self::File {
                        path: path.to_owned(),
                        place: *place,
                        line: text.lines().nth(index).unwrap_or_default().to_owned(),
                    }
                }
                Some(_) | None => Self::Nowhere,
            },
        }
    }

    /// Orders mistakes as they stand in the file, then those outside it.
    pub(super) fn rank(&self) -> (u8, u64, u64) {
        match self {
            Self::File { place, .. } => (0, place.line, place.column),
            Self::Env(_) => (1, 0, 0),
            Self::Flag(_) => (2, 0, 0),
            Self::Nowhere => (3, 0, 0),
        }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.source {
            Source::Nowhere => {}
            Source::Env(name) => write!(f, "\n --> environment variable {name}")?,
            Source::Flag(name) => write!(f, "\n --> flag {name}")?,
            Source::File { path, place, line } => snippet(f, path, *place, line)?,
        }
        if let Some(help) = &self.help {
            write!(f, "\n  = help: {help}")?;
        }
        Ok(())
    }
}

/// Shows the line with a caret under the place; tabs and control characters as one space.
fn snippet(f: &mut fmt::Formatter<'_>, path: &Path, place: Place, line: &str) -> fmt::Result {
    const WIDTH_MAX: usize = 120;
    let (path, number) = (path.display(), place.line);
    write!(f, "\n --> {path}:{number}:{}", place.column)?;
    let column = usize::try_from(place.column).unwrap_or(usize::MAX);
    if column > WIDTH_MAX || line.is_empty() {
        return Ok(());
    }
    let visible = |c: char| if c.is_control() { ' ' } else { c };
    let shown: String = line.chars().take(WIDTH_MAX).map(visible).collect();
    let gutter = number.to_string().len();
    let room = shown.chars().count().saturating_sub(column - 1).max(1);
    let length = usize::try_from(place.length).unwrap_or(usize::MAX);
    let carets = "^".repeat(length.clamp(1, room));
    write!(f, "\n{:gutter$} |", "")?;
    write!(f, "\n{number} | {}", shown.trim_end())?;
    write!(
        f,
        "\n{:gutter$} | {:indent$}{carets}",
        "",
        "",
        indent = column - 1
    )
}

struct Joined<'a>(&'a [Mistake]);

impl fmt::Display for Joined<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, mistake) in self.0.iter().enumerate() {
            let gap = if index == 0 { "" } else { "\n\n" };
            write!(f, "{gap}error: {mistake}")?;
        }
        Ok(())
    }
}
