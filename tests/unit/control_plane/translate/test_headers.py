from envoy.config.core.v3.base_pb2 import HeaderValueOption
from envoy.config.route.v3.route_components_pb2 import Route

from control_plane.translate.headers import apply_headers
from mesh.istio.virtual_service import Headers


def headers(**operations: object) -> Headers:
    return Headers.model_validate(operations)


def test_operations_in_alphabetical_order() -> None:
    route = Route()
    operations = {"set": {"b": "1", "a": "2"}, "add": {"c": "%REQ(x)%"}, "remove": ["z", "y"]}
    assert apply_headers(route, headers(request=operations, response={"remove": ["q"]})) == ""
    added = [(o.header.key, o.header.value, o.append_action) for o in route.request_headers_to_add]
    overwrite, append = HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD, HeaderValueOption.APPEND_IF_EXISTS_OR_ADD
    assert added == [("a", "2", overwrite), ("b", "1", overwrite), ("c", "%REQ(x)%", append)]
    assert list(route.request_headers_to_remove) == ["z", "y"]
    assert list(route.response_headers_to_remove) == ["q"]
    assert not route.response_headers_to_add


def test_the_authority_is_no_header() -> None:
    route = Route()
    assert apply_headers(route, headers(request={"set": {"Host": "a", "x": "y"}, "add": {":authority": "b"}})) == "a"
    assert [option.header.key for option in route.request_headers_to_add] == ["x"]
    assert apply_headers(Route(), headers(request={"add": {":authority": "b"}})) == "b"
