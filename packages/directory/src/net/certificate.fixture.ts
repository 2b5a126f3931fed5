/** A certificate of its own for `localhost`, and nothing else, with its key. Good for a hundred years of tests. */
export const certificate = {
  cert: `-----BEGIN CERTIFICATE-----
MIIBljCCATugAwIBAgIUUytf9TMd3lEAJJ8G9FeeCtDU6qwwCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyMzAwMDYxOFoYDzIxMjYxMDMw
MDAwNjE4WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAASTQFgg5TCAQya5cZIa/VqhvVnR9vn1LlwPTf/XrIgVASDeM2VizfMi
9im3DScyMHbogD3yIMkgSAx1PD7nHSMyo2kwZzAdBgNVHQ4EFgQUMspZiPZaIERN
ySUV6nu+9ug0gKIwHwYDVR0jBBgwFoAUMspZiPZaIERNySUV6nu+9ug0gKIwDwYD
VR0TAQH/BAUwAwEB/zAUBgNVHREEDTALgglsb2NhbGhvc3QwCgYIKoZIzj0EAwID
SQAwRgIhAIt6RQSrsb+s+sM5jIpb1h2sz3zgq5lhpXACHhX7mt0vAiEA7R9lMrv4
8Oma/eichjX3Wb8ct8kkusEN4Fmg7+GWNbc=
-----END CERTIFICATE-----`,
  key: `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg1CwM+aFJsRy67drf
d2/yxYWnxjIGDG+Hld1Gg4JSifGhRANCAASTQFgg5TCAQya5cZIa/VqhvVnR9vn1
LlwPTf/XrIgVASDeM2VizfMi9im3DScyMHbogD3yIMkgSAx1PD7nHSMy
-----END PRIVATE KEY-----`,
}
