mock_provider "aws" {
  source = "../../testing"
}

variables {
  cluster = "team"
  zones   = ["ap-northeast-2a", "ap-northeast-2c"]
}

run "subnets_do_not_overlap" {
  command = plan

  assert {
    condition     = aws_subnet.private["ap-northeast-2a"].cidr_block == "10.42.32.0/19" && aws_subnet.private["ap-northeast-2c"].cidr_block == "10.42.64.0/19"
    error_message = "Each zone has an eighth of the VPC."
  }

  assert {
    condition     = aws_subnet.public["ap-northeast-2a"].cidr_block == "10.42.0.0/22" && aws_subnet.public["ap-northeast-2c"].cidr_block == "10.42.4.0/22"
    error_message = "The public subnets share the first eighth."
  }

  assert {
    condition     = output.first_address == "10.42.32.10" && length(aws_nat_gateway.this) == 1
    error_message = "The first address is in the first private subnet, and one NAT does unless told otherwise."
  }
}

run "workers_do_not_reach_etcd" {
  command = plan

  assert {
    condition = alltrue([for rule in aws_vpc_security_group_ingress_rule.nodes_to_control_plane :
      rule.ip_protocol != "-1" && !(rule.ip_protocol == "tcp" && rule.from_port <= 2380 && rule.to_port >= 2379)
    ])
    error_message = "etcd is for the control plane alone."
  }
}

run "each_pod_network_opens_its_ports" {
  command = plan
  variables {
    pod_network = "calico"
  }

  assert {
    condition     = length(aws_vpc_security_group_ingress_rule.nodes_to_control_plane) == 5
    error_message = "API, kubelet, IP-in-IP, VXLAN and BGP."
  }
}

run "an_existing_network_is_used_and_tagged" {
  command = plan
  variables {
    vpc_id     = "vpc-0123456789abcdef0"
    subnet_ids = ["subnet-0123456789abcdef0"]
    zones      = []
  }

  assert {
    condition     = length(aws_vpc.this) == 0 && length(aws_ec2_tag.discovery) == 1 && output.first_address == null
    error_message = "An existing network gets a tag and nothing else."
  }
}

run "a_vpc_without_subnets_is_refused" {
  command = plan
  variables {
    vpc_id = "vpc-0123456789abcdef0"
  }
  expect_failures = [var.subnet_ids]
}

run "no_zones_are_refused" {
  command = plan
  variables {
    zones = []
  }
  expect_failures = [var.zones]
}

run "an_api_for_everybody_is_refused" {
  command = plan
  variables {
    api_cidrs = ["0.0.0.0/0"]
  }
  expect_failures = [var.api_cidrs]
}

run "a_range_that_is_none_is_refused" {
  command = plan
  variables {
    cidr = "10.42.0.0/24"
  }
  expect_failures = [var.cidr]
}
