use super::*;

#[test]
fn machine_account_is_the_host() {
    let found = account(&AccountFields {
        name: Some("CONTOSO\\WEB01$"),
        ..AccountFields::default()
    })
    .unwrap();
    assert_eq!(
        (found.kind.as_str(), found.key.as_deref()),
        ("host", Some("host:nt:CONTOSO\\WEB01"))
    );
}
