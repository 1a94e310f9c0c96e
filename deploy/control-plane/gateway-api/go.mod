// The Gateway API's custom resource definitions, which are files of this module. No package of it
// is compiled, so `go mod tidy` would drop the requirement: raise it by hand with `go get`.
module fairlead.dev/control-plane/gateway-api

go 1.26.0

require sigs.k8s.io/gateway-api v1.6.1
