//! Tenants: the names that keep one customer's alerts from another's.

/// The tenant of a record that names none.
pub const DEFAULT_TENANT: &str = "default";

/// Longest name of a tenant, in bytes: a UUID has 36, a host's or a cloud account's name fits.
pub const TENANT_BYTES_MAX: usize = 64;

/// A text does not name a tenant.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a tenant is 1 to {TENANT_BYTES_MAX} of a-z, A-Z, 0-9, dot, underscore and hyphen")]
pub struct InvalidTenant;

/// Returns the text if it names a tenant; whatever names one anywhere has passed here.
///
/// The name ends up in keys of topics, in paths and in metrics, where no byte of it may have a meaning.
///
/// # Errors
/// When it is empty, longer than [`TENANT_BYTES_MAX`], or holds anything but ASCII letters, digits, `.`, `_` and `-`.
pub fn tenant(text: &str) -> Result<&str, InvalidTenant> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if (1..=TENANT_BYTES_MAX).contains(&text.len()) && text.bytes().all(plain) {
        Ok(text)
    } else {
        Err(InvalidTenant)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, names: bool) {
        assert_eq!(
            tenant(text),
            if names { Ok(text) } else { Err(InvalidTenant) }
        );
    }

    #[test]
    fn names_that_producers_really_use_are_tenants() {
        for name in [
            DEFAULT_TENANT,
            "3f2504e0-4f89-11d3-9a0c-0305e82c3301",
            "123456789012",
            "o-a1b2c3d4e5",
            "contoso.onmicrosoft.com",
            "Contoso_EU-1",
            "-",
            &"x".repeat(TENANT_BYTES_MAX),
        ] {
            check(name, true);
        }
    }

    #[test]
    fn names_that_could_mean_something_elsewhere_are_none() {
        for name in [
            "",
            " ",
            "a b",
            "a/b",
            "a\0b",
            "a\n",
            "tenänt",
            "a:b",
            "{a}",
            "\u{202e}a",
            &"x".repeat(TENANT_BYTES_MAX + 1),
        ] {
            check(name, false);
        }
    }
}
