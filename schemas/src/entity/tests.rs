use proptest::prelude::*;

use super::*;
use crate::time::Timestamp;

/// Shows kind and keys: strong ones as they are, weak ones behind `~`; `-` for an entity without keys.
fn shown(entity: Option<&Entity>) -> String {
    let Some(entity) = entity else {
        return "nothing".to_owned();
    };
    let strong = entity.strong_keys().map(str::to_owned);
    let weak = entity.weak_keys.iter().map(|key| format!("~{key}"));
    let keys: Vec<String> = strong.chain(weak).collect();
    let keys = if keys.is_empty() {
        "-".to_owned()
    } else {
        keys.join(" ")
    };
    format!("{}: {keys}", entity.kind)
}

#[track_caller]
fn check(entity: Option<Entity>, expected: &str) {
    assert_eq!(shown(entity.as_ref()), expected);
}

fn by_name(name: &str) -> Option<Entity> {
    account(&AccountFields {
        name: Some(name),
        ..AccountFields::default()
    })
}

fn in_domain(name: &str, domain: &str) -> Option<Entity> {
    account(&AccountFields {
        name: Some(name),
        nt_domain: Some(domain),
        ..AccountFields::default()
    })
}

fn by_sid(sid: &str) -> Option<Entity> {
    account(&AccountFields {
        sid: Some(sid),
        ..AccountFields::default()
    })
}

fn by_hostname(name: &str) -> Option<Entity> {
    host(&HostFields {
        hostname: Some(name),
        ..HostFields::default()
    })
}

fn web01() -> Entity {
    by_hostname("web01.contoso.com").unwrap()
}

fn by_path(path: &str, host: Option<&Entity>) -> Option<Entity> {
    file(&FileFields {
        path: Some(path),
        host,
        ..FileFields::default()
    })
}

// Pitfall 1: one field, five spellings.

#[test]
fn account_name_holds_upn_domain_or_neither() {
    check(by_name("Alice"), "account: ~account:name:alice");
    check(
        by_name("Alice@Contoso.com"),
        "account: account:upn:alice@contoso.com ~account:name:alice",
    );
    check(
        by_name("contoso\\Alice"),
        "account: account:nt:CONTOSO\\alice ~account:name:alice",
    );
    check(
        by_name("CONTOSO/alice"),
        "account: account:nt:CONTOSO\\alice ~account:name:alice",
    );
    check(by_name("host/web01"), "account: ~account:name:host%2fweb01");
    check(in_domain("alice", ""), "account: ~account:name:alice");
    check(in_domain("alice", "-"), "account: ~account:name:alice");
    check(
        in_domain("alice", "contoso.com"),
        "account: account:dns:contoso.com\\alice ~account:name:alice",
    );
    check(by_name(""), "nothing");
    check(by_name(" \u{0} "), "nothing");
}

#[test]
fn upn_from_its_parts_is_the_upn() {
    let parts = account(&AccountFields {
        name: Some("alice"),
        upn_suffix: Some("contoso.com"),
        ..AccountFields::default()
    });
    let whole = account(&AccountFields {
        upn: Some("ALICE@contoso.com"),
        ..AccountFields::default()
    });
    assert_eq!(parts.unwrap().key, whole.unwrap().key);
}

#[test]
fn machine_account_is_the_host() {
    check(
        in_domain("WEB01$", "CONTOSO"),
        "host: host:nt:CONTOSO\\WEB01 ~host:name:web01",
    );
    check(by_name("WEB01$"), "host: ~host:name:web01");
    check(by_name("$"), "nothing");
}

#[test]
fn guest_is_known_by_both_upns() {
    check(
        by_name("alice_fabrikam.com#EXT#@contoso.onmicrosoft.com"),
        "account: account:upn:alice_fabrikam.com#ext#@contoso.onmicrosoft.com account:upn:alice@fabrikam.com \
         ~account:name:alice_fabrikam.com#ext#",
    );
}

#[test]
fn all_ids_of_one_account_are_keys_of_one_entity() {
    let found = account(&AccountFields {
        name: Some("alice"),
        nt_domain: Some("contoso"),
        upn: Some("alice@contoso.com"),
        sid: Some("s-1-5-21-1-2-3-1104"),
        aad_user_id: Some("{ABCDEF01-2345-6789-abcd-ef0123456789}"),
        puid: Some("1003bffd"),
        ..AccountFields::default()
    });
    check(
        found,
        "account: account:aad:abcdef01-2345-6789-abcd-ef0123456789 account:sid:S-1-5-21-1-2-3-1104 \
         account:puid:1003BFFD account:upn:alice@contoso.com account:nt:CONTOSO\\alice ~account:name:alice",
    );
}

#[test]
fn accounts_that_every_machine_has_get_no_key() {
    for name in [
        "SYSTEM",
        "root",
        "NT AUTHORITY\\SYSTEM",
        "LOCAL SERVICE",
        "NETWORK SERVICE",
        "LocalSystem",
        "DWM-1",
        "UMFD-12",
        "-",
        "N/A",
        "<NA>",
        "unknown",
        "nobody",
        "ANONYMOUS LOGON",
        "Administrator",
        "ADMIN",
        "NULL",
        "NETWORK",
        "Authenticated User",
        "NT SERVICE\\MSSQLSERVER",
        "CONTOSO\\SYSTEM",
        ".\\SYSTEM",
    ] {
        check(by_name(name), "account: -");
    }
    check(in_domain("SYSTEM", "WORKGROUP"), "account: -");
    check(by_name("DWM-x"), "account: ~account:name:dwm-x");
    check(named("account", "SYSTEM", []), "account: -");
    check(named("account", "administrator", []), "account: -");
}

#[test]
fn administrator_of_a_domain_is_someone() {
    check(
        by_name("CONTOSO\\Administrator"),
        "account: account:nt:CONTOSO\\administrator",
    );
}

#[test]
fn built_in_sids_get_no_key() {
    for sid in [
        "S-1-5-18",
        "S-1-5-19",
        "S-1-5-20",
        "S-1-5-7",
        "S-1-5-32-544",
        "S-1-5-90-0-1",
        "S-1-1-0",
    ] {
        check(by_sid(sid), "account: -");
    }
    check(
        by_sid("S-1-5-21-1-2-3-500"),
        "account: account:sid:S-1-5-21-1-2-3-500",
    );
    check(
        by_sid("S-1-12-1-1-2-3-4"),
        "account: account:sid:S-1-12-1-1-2-3-4",
    );
    check(by_sid("S-1-"), "nothing");
    check(by_sid("S-1-5-21-x"), "nothing");
}

// Pitfall 2: what stands in the domain and is none.

#[test]
fn no_domain_makes_no_domain_account() {
    for domain in ["WORKGROUP", "MicrosoftAccount", "AzureAD", "workgroup"] {
        check(in_domain("bob", domain), "account: ~account:name:bob");
    }
    check(in_domain("bob", "BUILTIN"), "account: -");
}

#[test]
fn account_of_the_host_is_local() {
    let host = web01();
    for domain in ["WEB01", "web01", "."] {
        let found = account(&AccountFields {
            name: Some("bob"),
            nt_domain: Some(domain),
            host: Some(&host),
            ..AccountFields::default()
        });
        check(
            found,
            "account: account:local:host:dns:web01.contoso.com\\bob ~account:name:bob",
        );
    }
    check(by_name(".\\bob"), "account: ~account:name:bob");
}

// Pitfall 3: host names.

#[test]
fn host_names_fold() {
    let expected = "host: host:dns:web01.contoso.com ~host:name:web01";
    check(by_hostname("WEB01.Contoso.COM."), expected);
    let parts = HostFields {
        hostname: Some("Web01"),
        dns_domain: Some(".contoso.com"),
        ..HostFields::default()
    };
    check(host(&parts), expected);
    check(by_hostname("WEB01"), "host: ~host:name:web01");
    check(
        by_hostname("CONTOSO\\web01"),
        "host: host:nt:CONTOSO\\WEB01 ~host:name:web01",
    );
}

#[test]
fn long_name_is_also_known_by_its_netbios_form() {
    check(
        by_hostname("finance-laptop-0012.contoso.com"),
        "host: host:dns:finance-laptop-0012.contoso.com ~host:name:finance-laptop-0012 ~host:name:finance-laptop-",
    );
    let netbios = HostFields {
        netbios_name: Some("FINANCE-LAPTOP-"),
        nt_domain: Some("CONTOSO"),
        ..HostFields::default()
    };
    check(
        host(&netbios),
        "host: host:nt:CONTOSO\\FINANCE-LAPTOP- ~host:name:finance-laptop-",
    );
}

#[test]
fn address_for_a_host_name_is_an_address() {
    check(by_hostname("203.0.113.7"), "ip: ip:203.0.113.7");
    check(by_hostname("::ffff:10.0.0.5"), "ip: ~ip:10.0.0.5");
    check(by_hostname("localhost"), "nothing");
    check(by_hostname("localhost.localdomain"), "nothing");
    check(by_hostname("."), "nothing");
}

// Pitfall 4: addresses.

#[test]
fn addresses_have_one_spelling() {
    for text in [
        "203.0.113.7",
        " 203.0.113.7:443",
        "203.0.113.7/32",
        "::ffff:203.0.113.7",
        "64:ff9b::cb00:7107",
        "[::ffff:203.0.113.7]:80",
    ] {
        check(ip(text, None), "ip: ip:203.0.113.7");
    }
    check(ip("2001:DB8::0001", None), "ip: ip:2001:db8::1");
    check(ip("[2001:db8::1]:443", None), "ip: ip:2001:db8::1");
    check(ip("2001:db8::1/128", None), "ip: ip:2001:db8::1");
    check(ip("fd00::1%eth0", None), "ip: ~ip:fd00::1");
    check(ip("10.0.0.0/8", None), "ip: -");
    for text in [
        "",
        "300.1.1.1",
        "1.2.3",
        "web01",
        "1.2.3.4:x",
        "[::1",
        "10.0.0.5/99",
    ] {
        check(ip(text, None), "nothing");
    }
}

#[test]
fn private_addresses_are_weak_without_a_scope() {
    for text in [
        "10.0.0.5",
        "172.16.0.1",
        "172.17.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "fc00::1",
    ] {
        check(ip(text, None), &format!("ip: ~ip:{text}"));
        check(
            ip(text, Some("vpc-1")),
            &format!("ip: ip:{text}@vpc-1 ~ip:{text}"),
        );
        check(named("ip", text, []), &format!("ip: ~ip:{text}"));
    }
    check(ip("172.32.0.1", None), "ip: ip:172.32.0.1");
    check(ip("100.128.0.1", None), "ip: ip:100.128.0.1");
}

#[test]
fn addresses_that_never_identify_get_no_key() {
    for text in [
        "0.0.0.0",
        "127.0.0.1",
        "::",
        "::1",
        "169.254.1.1",
        "fe80::1%eth0",
        "224.0.0.251",
        "255.255.255.255",
        "ff02::1",
        "::ffff:127.0.0.1",
    ] {
        check(ip(text, None), "ip: -");
        check(ip(text, Some("vpc-1")), "ip: -");
    }
    let loopback: std::net::IpAddr = "::1".parse().unwrap();
    assert_eq!(ip_class(loopback), IpClass::Never);
}

#[test]
fn address_can_be_taken_out_of_its_entity() {
    let found = ip("[::ffff:10.0.0.5]:443", None).unwrap();
    assert_eq!(found.address(), "10.0.0.5".parse().ok());
    assert_eq!(web01().address(), None);
}

// Pitfall 5: Azure resource ids.

const VM: &str = "/subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/RG/providers/Microsoft.Compute/virtualMachines/VM1";
const VM_KEY: &str = "host: host:azure:/subscriptions/11111111-2222-3333-4444-555555555555/resourcegroups/rg/providers/microsoft.compute/virtualmachines/vm1";

#[track_caller]
fn check_all(entities: &[Entity], expected: &[&str]) {
    let found: Vec<String> = entities.iter().map(|entity| shown(Some(entity))).collect();
    assert_eq!(found, expected);
}

#[test]
fn azure_ids_are_the_same_in_any_case() {
    check_all(&cloud_resource(VM), &[VM_KEY]);
    check_all(
        &cloud_resource(&format!("{}/", VM.to_uppercase())),
        &[VM_KEY],
    );
    check_all(
        &cloud_resource(&format!("https://management.azure.com{VM}")),
        &[VM_KEY],
    );
    let by_azure_id = HostFields {
        azure_id: Some(VM),
        ..HostFields::default()
    };
    check(host(&by_azure_id), VM_KEY);
}

#[test]
fn child_of_an_azure_resource_also_gives_the_resource() {
    let child = cloud_resource(&format!("{VM}/extensions/x"));
    assert_eq!(child.len(), 2);
    assert!(
        child[0]
            .key
            .as_deref()
            .unwrap()
            .ends_with("/vm1/extensions/x")
    );
    assert_eq!(shown(child.get(1)), VM_KEY);
}

#[test]
fn azure_alert_is_not_its_own_target() {
    let subscription = "/subscriptions/11111111-2222-3333-4444-555555555555";
    let alert =
        format!("{subscription}/providers/Microsoft.Security/locations/westeurope/alerts/1");
    check_all(&cloud_resource(&alert), &[]);
    check_all(
        &cloud_resource(&format!("{VM}/providers/Microsoft.Security/assessments/1")),
        &[VM_KEY],
    );
    check_all(
        &cloud_resource("/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/x"),
        &[],
    );
    check_all(
        &cloud_resource("/subscriptions/{subscriptionId}/resourceGroups/x"),
        &[],
    );
    check_all(
        &cloud_resource(subscription),
        &[&format!("cloud-resource: ~arm:{subscription}")],
    );
}

// Pitfall 6: ARNs.

#[test]
fn sessions_of_one_role_are_one_account() {
    let session = |name: &str| {
        aws_principal(&AwsPrincipalFields {
            arn: Some(&format!(
                "arn:aws:sts::123456789012:assumed-role/Deploy/{name}"
            )),
            principal_id: Some(&format!("AROAEXAMPLE:{name}")),
            ..AwsPrincipalFields::default()
        })
    };
    let expected = "account: account:aws:AROAEXAMPLE account:aws:123456789012/role%2fDeploy";
    check(session("one"), expected);
    check(session("two"), expected);
    check_all(
        &cloud_resource("arn:aws:iam::123456789012:role/path/Deploy"),
        &["account: account:aws:123456789012/role%2fDeploy"],
    );
}

#[test]
fn arns_keep_their_case() {
    check_all(
        &cloud_resource("arn:aws:s3:::Bucket/Key"),
        &[
            "cloud-resource: arn:aws:s3:::Bucket/Key",
            "cloud-resource: arn:aws:s3:::Bucket",
        ],
    );
    check_all(
        &cloud_resource("arn:aws:ec2:eu-west-1:123456789012:instance/i-0ABC"),
        &["host: host:agent:aws:i-0abc"],
    );
    check_all(&cloud_resource("arn:aws"), &[]);
}

// Pitfall 7: hashes.

#[test]
fn hashes_fold_and_their_length_is_their_algorithm() {
    let digest = "2BBAD800BC5058CAD5631DBFFD39FB8A293616479250C47B38DC8E8EB61DAAAA";
    let expected = format!("filehash: sha256:{}", digest.to_lowercase());
    check(filehash(Some("MD5"), digest), &expected);
    check(filehash(None, digest), &expected);
    check(
        filehash(None, "2bbad800bc5058cad5631dbffd39fb8a"),
        "filehash: md5:2bbad800bc5058cad5631dbffd39fb8a",
    );
    check(
        filehash(Some("imphash"), "2bbad800bc5058cad5631dbffd39fb8a"),
        "filehash: hash:imphash:2bbad800bc5058cad5631dbffd39fb8a",
    );
    check(filehash(None, "no hash"), "nothing");
}

#[test]
fn hashes_of_nothing_get_no_key() {
    let zeros = "0".repeat(64);
    for digest in [
        zeros.as_str(),
        "d41d8cd98f00b204e9800998ecf8427e",
        "DA39A3EE5E6B4B0D3255BFEF95601890AFD80709",
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    ] {
        check(filehash(None, digest), "filehash: -");
    }
}

// Pitfall 8: process ids are used again.

#[test]
fn process_is_known_by_host_id_and_start_together() {
    let host = web01();
    let whole = ProcessFields {
        pid: Some("0x1F"),
        start: Some(Timestamp(1000)),
        image: Some("C:\\Windows\\System32\\cmd.exe"),
        host: Some(&host),
        ..ProcessFields::default()
    };
    check(
        process(&whole),
        "process: process:host:dns:web01.contoso.com:31:1000 ~process:name:cmd.exe",
    );
    check(
        process(&ProcessFields {
            start: None,
            ..whole
        }),
        "process: ~process:name:cmd.exe",
    );
    check(
        process(&ProcessFields {
            host: None,
            ..whole
        }),
        "process: ~process:name:cmd.exe",
    );
    check(
        process(&ProcessFields { pid: None, ..whole }),
        "process: ~process:name:cmd.exe",
    );
    let only_id = ProcessFields {
        pid: Some("4"),
        ..ProcessFields::default()
    };
    check(process(&only_id), "process: -");
}

// Pitfall 9: paths.

#[test]
fn windows_paths_have_one_spelling() {
    let host = web01();
    let expected =
        "file: file:host:dns:web01.contoso.com:c%3a\\windows\\system32\\cmd.exe ~file:name:cmd.exe";
    for path in [
        "C:\\Windows\\System32\\cmd.exe",
        "c:/windows/system32/CMD.EXE",
        "C:\\\\Windows\\\\System32\\\\cmd.exe",
        "\\\\?\\C:\\Windows\\System32\\cmd.exe",
        "\\??\\C:\\Windows\\System32\\cmd.exe",
        "\\Device\\HarddiskVolume4\\Windows\\System32\\cmd.exe",
        "\\SystemRoot\\System32\\cmd.exe",
        "%windir%\\system32\\cmd.exe",
    ] {
        check(by_path(path, Some(&host)), expected);
    }
    let parts = FileFields {
        directory: Some("C:\\Windows\\System32\\"),
        name: Some("cmd.exe"),
        host: Some(&host),
        ..FileFields::default()
    };
    check(file(&parts), expected);
    check(
        by_path("\\\\Server\\Share\\a.txt", None),
        "file: ~file:path:\\\\server\\share\\a.txt ~file:name:a.txt",
    );
}

#[test]
fn unix_paths_keep_their_case() {
    check(
        by_path("/tmp//A", None),
        "file: ~file:path:/tmp/A ~file:name:a",
    );
    let inside = FileFields {
        path: Some("/tmp/A"),
        container: Some("docker://0123456789ABCDEF0123"),
        ..FileFields::default()
    };
    check(
        file(&inside),
        "file: file:container:0123456789ab:/tmp/A ~file:name:a",
    );
}

#[test]
fn name_and_hash_make_a_file_strong_on_its_host() {
    let host = web01();
    let fields = FileFields {
        name: Some("a.exe"),
        hash: Some("2bbad800bc5058cad5631dbffd39fb8a"),
        host: Some(&host),
        ..FileFields::default()
    };
    check(
        file(&fields),
        "file: file:host:dns:web01.contoso.com:md5:2bbad800bc5058cad5631dbffd39fb8a/a.exe ~file:name:a.exe \
         ~md5:2bbad800bc5058cad5631dbffd39fb8a",
    );
}

// Pitfall 10: the registry.

#[test]
fn registry_paths_have_one_spelling() {
    let expected = "registry-key: ~registry-key:hklm\\system\\currentcontrolset\\services\\x";
    for (hive, key) in [
        (
            Some("HKEY_LOCAL_MACHINE"),
            "SYSTEM\\ControlSet001\\Services\\x",
        ),
        (Some("HKLM"), "\\System\\CurrentControlSet\\Services\\x\\"),
        (
            None,
            "\\REGISTRY\\MACHINE\\SYSTEM\\ControlSet002\\Services\\x",
        ),
        (None, "HKLM:\\SYSTEM\\CurrentControlSet\\Services\\x"),
        (
            None,
            "Computer\\HKEY_LOCAL_MACHINE\\SYSTEM\\\\CurrentControlSet\\Services\\x",
        ),
    ] {
        check(registry_key(hive, key, None), expected);
    }
    let host = web01();
    check(
        registry_value(Some("HKCU"), "Software\\Run", "Evil", Some(&host)),
        "registry-value: registry-value:host:dns:web01.contoso.com:hkcu\\software\\run:evil",
    );
}

// Pitfall 11: MAC addresses.

#[test]
fn mac_addresses_fold_and_local_ones_do_not_count() {
    let with_mac = |mac: &str| {
        host(&HostFields {
            hostname: Some("a"),
            mac: Some(mac),
            ..HostFields::default()
        })
    };
    for mac in ["00-1B-44-11-3A-B7", "00:1b:44:11:3a:b7", "001b.4411.3ab7"] {
        check(
            with_mac(mac),
            "host: ~host:name:a ~host:mac:00:1b:44:11:3a:b7",
        );
    }
    for mac in [
        "02:42:ac:11:00:02",
        "00:00:00:00:00:00",
        "ff:ff:ff:ff:ff:ff",
        "xyz",
    ] {
        check(with_mac(mac), "host: ~host:name:a");
    }
}

// Pitfall 12: web addresses.

#[test]
fn web_addresses_have_one_spelling() {
    for text in [
        "http://evil.example/A?b=C",
        "hxxp://evil[.]example/A?b=C#top",
        "HXXP://EVIL.example.:80/A?b=C",
        "http://user:secret@evil.example/A?b=C",
        "http[:]//evil.example/A?b=C",
    ] {
        check(url(text), "url: url:http://evil.example/A?b=C");
    }
    check(
        url("https://BÜCHER.example"),
        "url: url:https://xn--bcher-kva.example/",
    );
    check(url("evil.example/a"), "url: ~url:http://evil.example/a");
    check(url("/a/b"), "url: -");
    check(url("javascript:alert(1)"), "url: -");
    // No better known than the host it is on.
    check(
        url("http://[2001:4860::8]/a"),
        "url: url:http://[2001:4860::8]/a",
    );
    check(url("http://10.0.0.5/a"), "url: ~url:http://10.0.0.5/a");
    check(url("http://intranet/a"), "url: ~url:http://intranet/a");
    for own in [
        "http://localhost/a",
        "http://127.0.0.1:8080/a",
        "http://[::1]/",
        "127.0.0.1/a",
    ] {
        check(url(own), "url: -");
    }
    check(url(""), "nothing");
}

#[test]
fn domain_names_have_one_spelling() {
    check(dns("EVIL[.]Example."), "dns: dns:evil.example");
    check(dns("bücher.example"), "dns: dns:xn--bcher-kva.example");
    check(dns("intranet"), "dns: ~dns:intranet");
    check(dns("203.0.113.7"), "ip: ip:203.0.113.7");
    check(dns("7.113.0.203.in-addr.arpa"), "dns: -");
    check(dns("localhost"), "nothing");
}

// Pitfall 13, times, is tested with `time`; pitfall 14, JSON's types, with the decoders: here all is text.

#[test]
fn placeholders_and_invisible_characters_are_nothing() {
    for text in [
        "",
        " ",
        "-",
        "N/A",
        "<NA>",
        "(null)",
        "\u{200b}",
        "\u{feff}\u{202e}",
    ] {
        check(by_hostname(text), "nothing");
        check(cloud_resource(text).into_iter().next(), "nothing");
        check(url(text), "nothing");
    }
    check(by_hostname("we\u{200b}b01"), "host: ~host:name:web01");
}

// Forgery: no value takes the place of two.

#[test]
fn separators_in_a_value_cannot_forge_a_key() {
    let forged = account(&AccountFields {
        name: Some("x"),
        upn_suffix: Some("a@contoso.com"),
        ..AccountFields::default()
    });
    check(
        forged,
        "account: account:upn:x@a%40contoso.com ~account:name:x",
    );
    check(by_hostname("a:4:1000"), "host: ~host:name:a%3a4%3a1000");
    check(
        other("ip:203.0.113.7", "x"),
        "ip:203.0.113.7: other:ip%3a203.0.113.7:x",
    );
    check(
        other("arm", "/subscriptions/1"),
        "arm: other:arm:%2fsubscriptions%2f1",
    );
    check(
        ip("10.0.0.5", Some("a@b")),
        "ip: ip:10.0.0.5@a%40b ~ip:10.0.0.5",
    );
}

#[test]
fn long_values_are_cut_at_a_character() {
    let found = by_hostname(&"ü".repeat(4000)).unwrap();
    assert!(found.identifiers["hostname"].len() <= VALUE_BYTES_MAX);
    assert!(found.weak_keys[0].len() <= VALUE_BYTES_MAX + 16);
}

#[test]
fn mail_has_one_spelling() {
    check(
        mailbox("Alice <ALICE@contoso.com>"),
        "mailbox: mailbox:alice@contoso.com",
    );
    check(
        mailbox("mailto:alice@contoso.com"),
        "mailbox: mailbox:alice@contoso.com",
    );
    check(mailbox("alice"), "mailbox: ~mailbox:alice");
    let message = mail_message(&MailMessageFields {
        internet_message_id: Some("<1@mail.example>"),
        recipient: Some("Alice <alice@contoso.com>"),
        ..MailMessageFields::default()
    });
    check(
        message,
        "mail-message: mail-message:1%40mail.example/alice%40contoso.com ~mail-message:1%40mail.example",
    );
    check(
        mail_message(&MailMessageFields {
            subject: Some("hi"),
            ..MailMessageFields::default()
        }),
        "nothing",
    );
}

#[test]
fn cloud_things_are_known_by_their_ids() {
    let app = CloudApplicationFields {
        app_id: Some("11161"),
        name: Some("Office"),
        ..CloudApplicationFields::default()
    };
    check(
        cloud_application(&app),
        "cloud-application: cloud-application:11161 cloud-application:name:office",
    );
    check(container("host", None), "nothing");
    check(
        container("docker://0123456789abcdef", None),
        "container: container:0123456789ab",
    );
    let pod = K8sObjectFields {
        cluster: Some("c1"),
        namespace: Some("ns"),
        kind: Some("Pod"),
        name: Some("p"),
    };
    check(k8s_object(&pod), "k8s-object: k8s-object:c1/ns/pod/p");
    check(
        k8s_object(&K8sObjectFields {
            cluster: None,
            ..pod
        }),
        "k8s-object: ~k8s-object:ns/pod/p",
    );
    check(
        iot_device(Some("hub"), "d"),
        "iot-device: iot-device:hub/d ~iot-device:d",
    );
    check(
        malware("Emotet", Some("Trojan")),
        "malware: ~malware:trojan/emotet",
    );
    let group = SecurityGroupFields {
        name: Some("Admins"),
        sid: Some("S-1-5-21-1-2-3-512"),
        ..SecurityGroupFields::default()
    };
    check(
        security_group(&group),
        "security-group: security-group:sid:S-1-5-21-1-2-3-512 ~security-group:name:admins",
    );
    let agent = HostFields {
        agent: Some(("Wazuh", "001")),
        ..HostFields::default()
    };
    check(host(&agent), "host: host:agent:wazuh:001");
}

// The friendly form: a value is the tenant's own name.

#[test]
fn the_tenants_own_name_is_strong() {
    check(named("host", "WS332", []), "host: host:name:ws332");
    check(
        named("host", "ws332.contoso.com", []),
        "host: host:dns:ws332.contoso.com ~host:name:ws332",
    );
    check(named("account", "u332", []), "account: account:name:u332");
    check(
        named("account", "CONTOSO\\u332", []),
        "account: account:nt:CONTOSO\\u332 ~account:name:u332",
    );
    check(
        named("user", "S-1-5-21-1-2-3-4", []),
        "account: account:sid:S-1-5-21-1-2-3-4",
    );
    check(named("ip", "203.0.113.7", []), "ip: ip:203.0.113.7");
    check(named("ip", "gateway", []), "ip: -");
    check(
        named("filehash", "hash_mgmt", []),
        "filehash: other:filehash:hash_mgmt",
    );
    check(
        named("mailMessage", "m1", []),
        "mail-message: mail-message:m1",
    );
    check(
        named("access-key", "AKIAX", []),
        "access-key: other:access-key:akiax",
    );
    check(named("session", "s/1", []), "session: other:session:s%2f1");
    check(
        named("cloud-application", "app2", []),
        "cloud-application: cloud-application:name:app2",
    );
    check(named("host", "", []), "nothing");
}

#[test]
fn further_names_give_further_keys() {
    check(
        named(
            "account",
            "u332",
            [
                ("sid", "S-1-5-21-1-2-3-4"),
                ("upn", "u332@contoso.com"),
                ("shoe", "43"),
            ],
        ),
        "account: account:name:u332 account:sid:S-1-5-21-1-2-3-4 account:upn:u332@contoso.com",
    );
    check(
        named(
            "host",
            "ws332",
            [("fqdn", "ws332.contoso.com"), ("mde", "ab12")],
        ),
        "host: host:name:ws332 host:dns:ws332.contoso.com host:agent:mde:ab12",
    );
    let found = named("account", "u332", [("shoe", "43")]).unwrap();
    assert_eq!(found.identifiers["shoe"], "43");
}

/// Text that is likely to hit the rules: their words and separators, and anything else.
fn hostile() -> impl Strategy<Value = String> {
    let words = prop::sample::select(vec![
        "S-1-5-21-",
        "S-1-",
        "NT AUTHORITY",
        "WEB01$",
        "@",
        "\\",
        "/",
        ".",
        ":",
        "%",
        "[",
        "]",
        "10.0.0.5",
        "::ffff:",
        "http://",
        "hxxp://",
        "arn:aws:iam::1:role/",
        "arn:",
        "/subscriptions/1/",
        "providers/",
        "microsoft.compute",
        "C:\\",
        "\\\\?\\",
        "\\Device\\HarddiskVolume1\\",
        "HKLM",
        "ControlSet001",
        "#EXT#",
        "_",
        "İ",
        "ß",
        "Σ",
        "\u{200b}",
        "\u{0}",
        " ",
        "-",
        "0x",
        "e3b0c44298fc1c149afbf4c8996fb924",
        "localhost",
        "<",
        ">",
        "..",
        "%2e",
        "?",
        "#",
        "＠",
        "a",
        "B",
    ]);
    let piece =
        prop_oneof![3 => words.prop_map(str::to_owned), 1 => any::<char>().prop_map(String::from)];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

/// Every entity that constructors make of two texts.
fn all_of(a: &str, b: &str) -> Vec<Entity> {
    let machine = host(&HostFields {
        hostname: Some(a),
        fqdn: Some(b),
        dns_domain: Some(b),
        nt_domain: Some(a),
        netbios_name: Some(a),
        azure_id: Some(b),
        agent: Some((a, b)),
        oms_agent_id: Some(a),
        device_id: Some(b),
        instance: Some((b, a)),
        mac: Some(b),
    });
    let mut all: Vec<Option<Entity>> = EntityKind::ALL
        .iter()
        .map(|kind| {
            named(
                kind.word(),
                a,
                [("sid", b), ("upn", b), ("fqdn", b), ("path", b), (b, a)],
            )
        })
        .collect();
    all.extend(identities(a, b, machine.as_ref()));
    all.extend(things(a, b, machine.as_ref()));
    all.push(machine);
    all.into_iter().flatten().chain(cloud_resource(a)).collect()
}

fn identities(a: &str, b: &str, host: Option<&Entity>) -> [Option<Entity>; 8] {
    [
        by_hostname(a),
        by_name(a),
        in_domain(a, b),
        account(&AccountFields {
            name: Some(a),
            nt_domain: Some(b),
            upn: Some(b),
            upn_suffix: Some(a),
            dns_domain: Some(b),
            sid: Some(a),
            aad_user_id: Some(b),
            aad_tenant_id: Some(a),
            object_guid: Some(b),
            puid: Some(a),
            host,
        }),
        aws_principal(&AwsPrincipalFields {
            arn: Some(a),
            principal_id: Some(b),
            account_id: Some(a),
            access_key_id: Some(b),
            user_name: Some(b),
        }),
        ip(a, Some(b)),
        security_group(&SecurityGroupFields {
            distinguished_name: Some(a),
            sid: Some(b),
            object_guid: Some(a),
            name: Some(b),
        }),
        cloud_application(&CloudApplicationFields {
            app_id: Some(a),
            name: Some(b),
            instance: Some(a),
        }),
    ]
}

fn things(a: &str, b: &str, host: Option<&Entity>) -> [Option<Entity>; 15] {
    [
        by_path(a, host),
        file(&FileFields {
            directory: Some(a),
            name: Some(b),
            hash: Some(a),
            container: Some(b),
            ..FileFields::default()
        }),
        filehash(Some(a), b),
        process(&ProcessFields {
            pid: Some("7"),
            parent_pid: Some(a),
            start: Some(Timestamp(1)),
            command_line: Some(b),
            image: Some(a),
            host,
            container: Some(b),
        }),
        registry_key(Some(a), b, host),
        registry_value(Some(a), b, a, None),
        url(a),
        dns(a),
        mailbox(a),
        mail_message(&MailMessageFields {
            network_message_id: Some(a),
            recipient: Some(b),
            ..MailMessageFields::default()
        }),
        iot_device(Some(a), b),
        malware(a, Some(b)),
        container(a, Some(b)),
        k8s_object(&K8sObjectFields {
            cluster: Some(a),
            namespace: Some(b),
            kind: Some(a),
            name: Some(b),
        }),
        other(a, b),
    ]
}

#[track_caller]
fn check_sound(entity: &Entity) {
    let keys: Vec<&str> = entity
        .strong_keys()
        .chain(entity.weak_keys.iter().map(String::as_str))
        .collect();
    for key in &keys {
        let (space, rest) = key.split_once(':').expect("a key has its namespace");
        assert!(!space.is_empty() && !rest.is_empty(), "{key:?}");
        assert!(!key.chars().any(char::is_control), "{key:?}");
        assert!(key.len() <= 24 * VALUE_BYTES_MAX, "{key:?}");
        assert_eq!(
            keys.iter().filter(|other| *other == key).count(),
            1,
            "{key:?}"
        );
    }
    assert!(!entity.kind.is_empty());
    assert!(entity.display.len() <= VALUE_BYTES_MAX);
    assert!(!entity.display.is_empty(), "{entity:?}");
    for (name, value) in &entity.identifiers {
        assert!(value.len() <= VALUE_BYTES_MAX, "{name} of {}", entity.kind);
    }
}

proptest! {
    #[test]
    fn any_text_makes_sound_entities(a in hostile(), b in hostile()) {
        all_of(&a, &b).iter().for_each(check_sound);
    }

    /// What an entity was normalised to makes the same entity again.
    #[test]
    fn canonical_text_stays_as_it_is(a in hostile()) {
        let again = |first: Option<Entity>, name: &str, make: &dyn Fn(&str) -> Option<Entity>| {
            let Some(first) = first else { return };
            if let Some(value) = first.identifiers.get(name) {
                assert_eq!(shown(make(value).as_ref()), shown(Some(&first)));
            }
        };
        again(ip(&a, None), "address", &|text| ip(text, None));
        again(by_path(&a, None), "path", &|text| by_path(text, None));
        again(registry_key(None, &a, None), "registry_key", &|text| registry_key(None, text, None));
        again(dns(&a), "domain", &dns);
        again(mailbox(&a), "address", &mailbox);
        again(by_sid(&a), "sid", &by_sid);
        again(cloud_resource(&a).into_iter().next(), "resource_id", &|text| cloud_resource(text).into_iter().next());
        let address = url(&a);
        if address.as_ref().is_some_and(Entity::has_strong_key) {
            again(address, "url", &url);
        }
    }

    #[test]
    fn case_does_not_make_another_host_or_account(a in "[a-z0-9.@-]{1,20}") {
        let upper = a.to_uppercase();
        prop_assert_eq!(shown(by_hostname(&a).as_ref()), shown(by_hostname(&upper).as_ref()));
        prop_assert_eq!(shown(by_name(&a).as_ref()), shown(by_name(&upper).as_ref()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn long_text_makes_sound_entities(a in hostile(), b in hostile(), times in 1usize..600) {
        all_of(&a.repeat(times), &b.repeat(times)).iter().for_each(check_sound);
    }
}
