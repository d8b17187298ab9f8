//! Whose data it is.

use std::fmt;
use std::sync::Arc;

/// The header that names the tenant of a request.
pub const TENANT_HEADER: &str = "X-Scope-OrgID";

const LEN_MAX: usize = 150;

/// A tenant's name: 1 to 150 characters of `a-z A-Z 0-9 ! - _ . * ' ( )`, not `.` or `..`, so that it can be
/// a directory name. The rules are those of Mimir and Cortex.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Deserialize)]
#[serde(try_from = "String")]
pub struct TenantId(Arc<str>);

/// A name that cannot be a tenant's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("tenant id {0:?} is not valid: use 1 to {LEN_MAX} of the characters a-z A-Z 0-9 ! - _ . * ' ( )")]
pub struct InvalidTenantId(String);

impl TenantId {
    /// The tenant of requests that name none.
    pub fn anonymous() -> Self {
        Self(Arc::from("anonymous"))
    }

    /// # Errors
    /// If the name breaks the rules of the type.
    pub fn new(name: &str) -> Result<Self, InvalidTenantId> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"!-_.*'()".contains(&b);
        if name.is_empty()
            || name.len() > LEN_MAX
            || name == "."
            || name == ".."
            || !name.bytes().all(allowed)
        {
            return Err(InvalidTenantId(name.chars().take(LEN_MAX).collect()));
        }
        Ok(Self(Arc::from(name)))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for TenantId {
    type Error = InvalidTenantId;

    fn try_from(name: String) -> Result<Self, InvalidTenantId> {
        Self::new(&name)
    }
}

impl Default for TenantId {
    fn default() -> Self {
        Self::anonymous()
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_leave_the_data_directory_are_refused() {
        for bad in ["", ".", "..", "a/b", "a\\b", "a b", "ä", &"x".repeat(151)] {
            assert!(TenantId::new(bad).is_err(), "{bad:?}");
        }
        for good in ["anonymous", "team-a", "a.b_c(1)", &"x".repeat(150)] {
            assert_eq!(TenantId::new(good).expect("valid").as_str(), good);
        }
    }
}
