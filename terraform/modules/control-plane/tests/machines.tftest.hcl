mock_provider "aws" {
  source = "../../testing"
}

variables {
  cluster            = "team"
  instance_profile   = "team-control-plane"
  security_group_ids = ["sg-0123456789abcdef0"]
  subnet_ids         = ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"]
  vpc_id             = "vpc-0123456789abcdef0"
  prefix             = "/joinery/team"
  kubernetes_version = "1.35.3"
  private_ip         = "10.42.32.10"
}

run "one_machine_is_its_own_endpoint" {
  assert {
    condition     = output.endpoint == "10.42.32.10:6443"
    error_message = "The endpoint of one machine is its address."
  }

  assert {
    condition     = length(aws_lb.api) == 0
    error_message = "One machine needs no load balancer."
  }
}

run "three_machines_stand_behind_a_load_balancer" {
  variables {
    machines   = 3
    private_ip = null
  }

  assert {
    condition     = output.endpoint == "${aws_lb.api[0].dns_name}:6443" && length(aws_lb_target_group_attachment.api) == 3
    error_message = "The endpoint of three machines is their load balancer."
  }

  assert {
    condition     = aws_lb_target_group.api[0].target_type == "ip" && aws_lb_target_group.api[0].preserve_client_ip == "false"
    error_message = "A machine must reach itself through the load balancer."
  }
}

run "two_machines_are_refused" {
  command = plan
  variables {
    machines   = 2
    private_ip = null
  }
  expect_failures = [var.machines]
}

run "one_machine_without_an_address_is_refused" {
  command = plan
  variables {
    private_ip = null
  }
  expect_failures = [var.private_ip]
}

run "an_old_kubernetes_is_refused" {
  command = plan
  variables {
    kubernetes_version = "v1.30.1"
  }
  expect_failures = [var.kubernetes_version]
}

run "an_unknown_pod_network_is_refused" {
  command = plan
  variables {
    pod_network = { name = "weave" }
  }
  expect_failures = [var.pod_network]
}

run "joinery_without_settings_is_refused" {
  command = plan
  variables {
    joinery = { wheel = "https://example.com/joinery_agent-0.1.0-py3-none-any.whl" }
  }
  expect_failures = [var.joinery]
}

run "what_is_no_wheel_is_refused" {
  command = plan
  variables {
    joinery = { wheel = "s3://bucket/joinery.tar.gz", settings = "clusterName: team" }
  }
  expect_failures = [var.joinery]
}

run "userdata_that_is_too_long_is_refused" {
  command = plan
  variables {
    joinery = {
      wheel    = "/opt/joinery_agent-0.1.0-py3-none-any.whl"
      settings = join("", [for number in range(1000) : sha256(tostring(number))])
    }
  }
  expect_failures = [aws_instance.this]
}
