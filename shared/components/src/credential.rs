//! Short-lived credentials, which the executor makes from a node's `authorization` just before a
//! request is sent. None is ever stored.

/// Bytes of an issuer's token. Headers of requests leave room for one.
pub const TOKEN_BYTES_MAX: usize = 16 * 1024;

/// The credential that signs a request, or with which a token is requested. It may hold secrets, so
/// it has no `Debug`.
pub enum Credential {
    /// A token by the client credentials grant (RFC 6749, section 4.4).
    ClientCredentials(ClientCredentials),
    /// A JSON Web Token, or the token that an issuer gives for it.
    Jwt(Jwt),
    /// AWS Signature Version 4.
    AwsSigV4(AwsSigV4),
    /// A header with a MAC of the request.
    Signature {
        /// The header's name.
        name: String,
        /// The header's value, as far as it is known before the request is made.
        value: String,
        /// JSON pointer of the field from which the value is rendered, once the request is made.
        pointer: &'static str,
    },
}

/// The client credentials grant.
pub struct ClientCredentials {
    /// The issuer's token endpoint.
    pub token_url: String,
    /// `client_id`
    pub client_id: String,
    /// `client_secret`
    pub client_secret: String,
    /// The way in which the client is authenticated.
    pub auth_method: AuthMethod,
    /// `scope`
    pub scope: Option<String>,
    /// `audience`, which some issuers require.
    pub audience: Option<String>,
}

/// The way in which a client is authenticated at the token endpoint (OpenID Connect Core, section
/// 9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthMethod {
    /// `client_secret_basic`: by the header `Authorization`.
    Basic,
    /// `client_secret_post`: in the body.
    Post,
}

/// A JSON Web Token (RFC 7519).
pub struct Jwt {
    /// PEM of the private key.
    pub key: String,
    /// The algorithm of its signature.
    pub algorithm: JwtAlgorithm,
    /// `kid` of the header.
    pub key_id: Option<String>,
    /// `iss`
    pub issuer: String,
    /// `sub`
    pub subject: Option<String>,
    /// `aud`
    pub audience: Option<String>,
    /// `scope`
    pub scope: Option<String>,
    /// The use of the token.
    pub exchange: Exchange,
}

/// The algorithm by which a token is signed (RFC 7518).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JwtAlgorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
}

/// The use of a JSON Web Token.
pub enum Exchange {
    /// The token itself is sent.
    Itself,
    /// The issuer at this URL gives a token for it (RFC 7523).
    Grant(String),
    /// GitHub at this URL gives an installation token of an app for it.
    Installation(String),
}

/// AWS Signature Version 4. The keys are the author's, never those of the function.
pub struct AwsSigV4 {
    /// The access key's id.
    pub access_key_id: String,
    /// The secret access key.
    pub secret_access_key: String,
    /// The session token of temporary keys.
    pub session_token: Option<String>,
    /// Such as `eu-central-1`.
    pub region: String,
    /// Such as `execute-api`.
    pub service: String,
}
