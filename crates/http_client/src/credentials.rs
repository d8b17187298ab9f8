//! What goes into the `Authorization` header. Files are read for each request, so that a rotated secret counts
//! from the next request on.

use base64::Engine as _;
use reqwest::header::HeaderValue;

use crate::client::{BuildError, RequestError};
use crate::oauth2::Tokens;
use crate::settings::{Authorization, BasicAuth, Secret, Settings};

/// The one way in which a client shows who it is.
#[derive(Debug)]
pub(crate) enum Credentials {
    None,
    Basic(BasicAuth),
    Header(Authorization),
    OAuth2(Box<Tokens>),
}

impl Credentials {
    pub(crate) fn new(settings: &Settings) -> Result<Self, BuildError> {
        Ok(if let Some(oauth2) = &settings.oauth2 {
            Self::OAuth2(Box::new(Tokens::new(oauth2.clone())?))
        } else if let Some(basic) = &settings.basic_auth {
            Self::Basic(basic.clone())
        } else if let Some(authorization) = settings.effective_authorization() {
            Self::Header(authorization)
        } else {
            Self::None
        })
    }

    /// Whether there are none to be added.
    pub(crate) fn are_none(&self) -> bool {
        matches!(self, Self::None)
    }

    pub(crate) async fn header(&self) -> Result<Option<HeaderValue>, RequestError> {
        let (key, text) = match self {
            Self::None => return Ok(None),
            Self::Basic(basic) => {
                let user = match basic.username_file.as_str() {
                    "" => basic.username.clone(),
                    file => read_secret("basic_auth username_file", file).await?,
                };
                let password =
                    text_or_file("basic_auth password_file", &basic.password, &basic.password_file).await?;
                let pair = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
                ("basic_auth", format!("Basic {pair}"))
            }
            Self::Header(header) => {
                let key = "authorization credentials_file";
                let credentials = text_or_file(key, &header.credentials, &header.credentials_file).await?;
                ("authorization", format!("{} {credentials}", header.scheme()))
            }
            Self::OAuth2(tokens) => ("oauth2 token", format!("Bearer {}", tokens.current().await?.reveal())),
        };
        let mut value =
            HeaderValue::from_str(&text).map_err(|_| RequestError::Header { key: key.to_owned() })?;
        value.set_sensitive(true);
        Ok(Some(value))
    }
}

/// The secret itself, or what its file holds now.
pub(crate) async fn text_or_file(key: &str, secret: &Secret, file: &str) -> Result<String, RequestError> {
    if file.is_empty() { Ok(secret.reveal().to_owned()) } else { read_secret(key, file).await }
}

/// A file's text without white space around it.
pub(crate) async fn read_secret(key: &str, file: &str) -> Result<String, RequestError> {
    match tokio::fs::read_to_string(file).await {
        Ok(text) => Ok(text.trim().to_owned()),
        Err(source) => Err(RequestError::File { key: key.to_owned(), path: file.into(), source }),
    }
}
