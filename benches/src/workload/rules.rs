//! The detection rules of the made-up site, and the steps of its attacks.

/// A detection rule.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rule {
    pub(super) product: &'static str,
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    pub(super) signature: u32,
    pub(super) severity: &'static str,
    pub(super) tactic: &'static str,
    pub(super) technique: &'static str,
    pub(super) things: &'static [Thing],
}

/// What an alert names.
#[derive(Clone, Copy, Debug)]
pub(super) enum Thing {
    Host,
    Account,
    /// The host's own address.
    Inside,
    Outside,
    /// The same address as where the activity comes from.
    Attacker,
    Domain,
    File,
    Neighbour,
    /// The domain controller.
    Directory,
    /// One account of all machines.
    Service,
    /// One address of all machines.
    Proxy,
}

use Thing::{
    Account, Attacker, Directory, Domain, File, Host, Inside, Neighbour, Outside, Proxy, Service,
};

macro_rules! rules {
    ($($product:literal $name:literal $title:literal $signature:literal $severity:literal $tactic:literal $technique:literal [$($thing:ident),+];)+) => {
        [$(Rule {
            product: $product,
            name: $name,
            title: $title,
            signature: $signature,
            severity: $severity,
            tactic: $tactic,
            technique: $technique,
            things: &[$($thing),+],
        }),+]
    };
}

/// What stands in where a number names no rule.
pub(super) const FIRST: Rule = NOISE[0];

/// Everyday rules, the loudest first.
pub(super) const NOISE: [Rule; 24] = rules! {
    "ndr" "inbound_scan" "Inbound port scan" 2_100_001 "low" "reconnaissance" "T1595" [Attacker, Inside];
    "edr" "script_host" "Script host started by an office program" 2_100_002 "low" "execution" "T1059.001" [Host, Account, File];
    "proxy" "rare_domain" "Request to a rare domain" 2_100_003 "low" "command-and-control" "T1071.001" [Inside, Domain, Outside, Proxy];
    "siem" "failed_logons" "Many failed logons" 2_100_004 "medium" "credential-access" "T1110" [Account, Directory];
    "edr" "run_key" "Autostart entry added" 2_100_005 "low" "persistence" "T1547.001" [Host, Account];
    "idp" "new_country" "Sign-in from a new country" 2_100_006 "medium" "initial-access" "T1078" [Account, Attacker];
    "edr" "known_bad_file" "Unwanted program" 2_100_007 "medium" "execution" "T1204.002" [Host, Account, File];
    "siem" "deploy_logon" "Service account logon" 2_100_008 "informational" "lateral-movement" "T1021.002" [Host, Service];
    "ndr" "smb_sweep" "Many file shares opened" 2_100_009 "low" "discovery" "T1135" [Host, Neighbour];
    "edr" "admin_tool" "Administration tool started" 2_100_010 "low" "discovery" "T1018" [Host, Account];
    "waf" "injection" "Injection attempt" 2_100_011 "medium" "initial-access" "T1190" [Attacker, Inside];
    "edr" "task_created" "Scheduled task created" 2_100_012 "low" "persistence" "T1053.005" [Host, Account];
    "mail" "link_clicked" "Suspicious link clicked" 2_100_013 "medium" "initial-access" "T1566.002" [Account, Domain];
    "siem" "group_change" "Group membership changed" 2_100_014 "low" "persistence" "T1098" [Account, Directory];
    "proxy" "big_upload" "Large upload" 2_100_015 "medium" "exfiltration" "T1567" [Inside, Domain, Account];
    "edr" "defender_off" "Protection switched off" 2_100_016 "medium" "defense-evasion" "T1562.001" [Host, Account];
    "ndr" "dns_tunnel" "Long names looked up" 2_100_017 "medium" "command-and-control" "T1071.004" [Inside, Domain];
    "edr" "archive" "Archive with a password" 2_100_018 "low" "collection" "T1560.001" [Host, Account, File];
    "siem" "ticket" "Kerberos ticket with a weak cipher" 2_100_019 "medium" "credential-access" "T1558.003" [Account, Directory];
    "edr" "remote_service" "Service made from afar" 2_100_020 "medium" "lateral-movement" "T1569.002" [Host, Neighbour, Service];
    "idp" "mfa_reset" "Second factor changed" 2_100_021 "low" "persistence" "T1556" [Account];
    "edr" "memory_read" "Memory of another process read" 2_100_022 "high" "credential-access" "T1003.001" [Host, Account, File];
    "ndr" "beacon" "Calls at even intervals" 2_100_023 "medium" "command-and-control" "T1573" [Inside, Outside];
    "edr" "shadow_copies" "Shadow copies deleted" 2_100_024 "high" "impact" "T1490" [Host, Account];
};

/// The steps of an attack, in order.
pub(super) const CHAIN: [Rule; 9] = rules! {
    "mail" "macro_opened" "Attachment with a macro opened" 2_200_001 "medium" "initial-access" "T1566.001" [Account, Host, File];
    "edr" "encoded_command" "Encoded command line" 2_200_002 "medium" "execution" "T1059.001" [Host, Account, File];
    "ndr" "first_beacon" "Calls to an address never seen" 2_200_003 "medium" "command-and-control" "T1071.001" [Inside, Host, Outside];
    "edr" "service_added" "Service with a random name" 2_200_004 "high" "persistence" "T1543.003" [Host, Account];
    "edr" "credentials_read" "Credentials read from memory" 2_200_005 "high" "credential-access" "T1003.001" [Host, Account, File];
    "ndr" "share_list" "Shares of many machines listed" 2_200_006 "low" "discovery" "T1135" [Host, Neighbour, Inside];
    "edr" "copied_tool" "Program copied to another machine" 2_200_007 "high" "lateral-movement" "T1570" [Host, Neighbour, Account, File];
    "edr" "staged" "Files packed in one place" 2_200_008 "medium" "collection" "T1074.001" [Host, Account];
    "proxy" "sent_out" "Upload to an address never seen" 2_200_009 "high" "exfiltration" "T1041" [Inside, Host, Outside];
};
